"""Log of Ray's messages on processes that end: in the search's folder, away from what a person reads."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOG = "ray.log"


@contextmanager
def messages_kept(folder: Path) -> Iterator[None]:
    """In this context messages of Ray's nodes and of Ray Train go to `ray.log` in `folder`, once that is there.

    Ray's driver prints the nodes' as they come: of each process that ended otherwise than Ray expected, such as worker
    groups that the search ends on purpose. Ray Train logs the traceback of each group that ends so. What concerns a
    person is told by the search itself: a trial's cause, a worker group that could not start. Ray has a switch for what
    workers print, but none for these.
    """
    from ray._private import worker

    printed: Callable[..., None] = worker.print_to_stdstream

    def keep(data: dict[str, Any], *arguments: Any, **options: Any) -> None:
        if not folder.is_dir():
            printed(data, *arguments, **options)
            return
        _write(folder, data.get("pid"), data["lines"])

    train, kept = logging.getLogger("ray.train"), _KeptRecords(folder)
    worker.print_to_stdstream = keep
    propagated, train.propagate = train.propagate, False
    train.addHandler(kept)
    try:
        yield
    finally:
        train.removeHandler(kept)
        train.propagate = propagated
        worker.print_to_stdstream = printed


class _KeptRecords(logging.Handler):
    def __init__(self, folder: Path):
        super().__init__(logging.WARNING)
        self.folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        if self.folder.is_dir():
            _write(self.folder, record.name, self.format(record).splitlines())


def _write(folder: Path, source: object, lines: list[str]) -> None:
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.writelines(f"{time.strftime('%F %T')} {source}: {line}\n" for line in lines)
