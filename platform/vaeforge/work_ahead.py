"""Work ahead in threads: results in the order of the items, a bounded number of them before they are asked for.

Whoever stops asking early waits for nothing: what is under way ends by itself. The iterator of a loop that raised is
ended by the garbage collector, in any thread and between any two instructions, also while `threading` holds a lock that
its threads need to end: to wait for them there would be for ever.
"""

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
        ahead: items that are worked on at most before they are asked for.
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
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        pool.shutdown()  # nothing is under way
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
