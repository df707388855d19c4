"""Log of Ray's messages on processes that end: in the search's folder, away from what a person reads."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOG = "ray.log"


@contextmanager
def messages_kept(folder: Path) -> Iterator[None]:
    """In this context messages of Ray's nodes go to `ray.log` in `folder`, once that is there; printed before.

    Ray's driver prints them as they come: of each process that ended otherwise than Ray expected, such as controllers
    and worker groups that the search ends on purpose. What concerns a person is told by the search itself: a trial's
    cause, a worker group that could not start. Ray has a switch for what workers print, but none for these.
    """
    from ray._private import worker

    printed: Callable[..., None] = worker.print_to_stdstream

    def keep(data: dict[str, Any], *arguments: Any, **options: Any) -> None:
        if not folder.is_dir():
            printed(data, *arguments, **options)
            return
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.writelines(f"{time.strftime('%F %T')} {data.get('pid')}: {line}\n" for line in data["lines"])

    worker.print_to_stdstream = keep
    try:
        yield
    finally:
        worker.print_to_stdstream = printed
