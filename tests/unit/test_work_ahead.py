"""Work ahead in threads is left without waiting for it."""

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from project import CODE_PATH
from vaeforge.work_ahead import work_ahead


@pytest.mark.timeout(60)
def test_who_stops_asking_early_waits_for_nothing() -> None:
    go_on, done = threading.Event(), []

    def work(item: int) -> int:
        assert item == 0 or go_on.wait(50)
        done.append(item)
        return item

    results: Iterator[int] = work_ahead(work, range(99), 2, 4, "worker")
    assert next(results) == 0
    del results
    gc.collect()
    assert done == [0]
    go_on.set()


# Threads that end need the lock that is held here, as it is when the collector runs in the middle of a thread's start.
LEFT_WHILE_THREADS_START = """
import gc, threading
from vaeforge.work_ahead import work_ahead

def leave():
    results = work_ahead(str, range(99), 2, 2, "worker")
    next(results)
    cycle = [results]
    cycle.append(cycle)

leave()
with threading._active_limbo_lock:
    gc.collect()
print("left")
"""


def test_the_collector_ends_it_while_threads_start() -> None:
    command = [sys.executable, "-c", LEFT_WHILE_THREADS_START]
    ended = subprocess.run(command, env={"PYTHONPATH": CODE_PATH}, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "left\n", ended.stderr
