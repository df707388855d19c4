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
    """In this context messages of Ray's nodes, Ray Train and Tune go to `ray.log` in `folder`, once that is there.

    Ray's driver prints the nodes' as they come: of each process that ended otherwise than Ray expected, such as worker
    groups that the search ends on purpose. Ray Train logs the traceback of each group that ends so, and Tune that of
    each process of its own, which trains nothing, when it starts it again. What concerns a person is told by the search
    itself: a trial's cause, a worker group that could not start. Ray has a switch for what workers print, but none for
    these.
    """
    from ray._private import worker

    printed: Callable[..., None] = worker.print_to_stdstream

    def keep(data: dict[str, Any], *arguments: Any, **options: Any) -> None:
        if not folder.is_dir():
            printed(data, *arguments, **options)
            return
        _write(folder, data.get("pid"), data["lines"])

    worker.print_to_stdstream = keep
    try:
        with _records_kept("ray.train", folder), _records_kept("ray.tune", folder):
            yield
    finally:
        worker.print_to_stdstream = printed


@contextmanager
def _records_kept(name: str, folder: Path) -> Iterator[None]:
    """In this context what a logger is told from warnings on is kept there, and goes nowhere else."""
    logger, kept = logging.getLogger(name), _KeptRecords(folder)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(kept)
    try:
        yield
    finally:
        logger.removeHandler(kept)
        logger.propagate = propagated


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
