"""Work ahead in threads: results in the order of the items, a bounded number of them before they are asked for."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def work_ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    ahead: int,
    name: str,
    begin: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """What `work` returns for each item, in order; what it raises is raised in its place.

    Args:
        work: called in threads, several at a time.
        items: taken one by one in the caller's thread.
        threads: how many; 0 works in the caller's own, when it asks.
        ahead: items a thread that are worked on at most before they are asked for.
        name: of the threads.
        begin: what each thread does first.
    """
    if not threads:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, name, begin)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
