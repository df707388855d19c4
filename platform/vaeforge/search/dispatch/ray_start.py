"""Start of a Ray of one's own: with few processes, and on a machine that has much else to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from rich.console import Console

from vaeforge.errors import ResourceError
from vaeforge.remarks import tell

TRIES = 3
TIMED_OUT = "timed out during startup"  # Ray's words where its node has not come up within 30 s, which is no setting
END_SECONDS = 10.0
UNUSED = ("start_api_server", "start_monitor", "start_log_monitor")


@contextmanager
def without_idle_processes() -> Iterator[None]:
    """In this context nodes start without what nobody uses on one machine: three Python processes.

    The API server serves the dashboard, which is off, and nothing else starts before it answers; the monitor asks for
    more nodes; the log monitor brings what workers print to their driver, which does not want it. Ray starts them
    whatever `ray.init` is told.
    """
    from ray._private.node import Node

    started = {name: getattr(Node, name) for name in UNUSED}
    for name in UNUSED:
        setattr(Node, name, _start_nothing)
    try:
        yield
    finally:
        for name, method in started.items():
            setattr(Node, name, method)


def _start_nothing(_: object, **options: Any) -> None:
    """In place of one of `UNUSED`."""


def start_patiently(start: Callable[[], object], console: Console) -> None:
    """Call `start`, and again where the node took too long to come up; what a try left is ended first.

    Raises:
        ResourceError: if the last try took too long, too.
    """
    before = set(psutil.Process().children(recursive=True))
    for left in reversed(range(TRIES)):
        try:
            start()
            return
        except Exception as error:  # Ray raises no class of its own
            if TIMED_OUT not in str(error):
                raise
            _end_what_is_new(before)
            if not left:
                raise ResourceError(
                    f"Ray: did not start within 30 s, in {TRIES} tries; the machine has too much else to do, "
                    "try again later"
                ) from error
            tell(console, "Ray did not start within 30 s: the machine has much else to do; trying again")


def _end_what_is_new(before: set[psutil.Process]) -> None:
    """Ray leaves the processes of a node that came up too late, and a driver that believes to be connected."""
    import ray

    ray.shutdown()
    found = [process for process in psutil.Process().children(recursive=True) if process not in before]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, END_SECONDS)
