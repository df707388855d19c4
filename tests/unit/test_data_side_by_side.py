"""Work on files in threads: in order, errors in their place, large files alone, and warnings quiet in all of them."""

import threading
import time
import warnings
from pathlib import Path

import pytest

from vaeforge.data.decoding import QUIET
from vaeforge.data.side_by_side import ALONE, in_order


def test_results_come_in_order_and_few_are_ahead() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.002 * (number % 3))
        return number * 2

    results = in_order(work, range(100), lambda _: None, threads=2)
    assert next(results) == 0
    assert len(begun) <= 10
    assert list(results) == [number * 2 for number in range(1, 100)]


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_raised_is_raised_in_its_place(threads: int) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("the fourth")
        return number

    results = in_order(work, range(6), lambda _: None, threads)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(results)


def test_large_files_are_worked_on_one_at_a_time(tmp_path: Path) -> None:
    within, most, lock = 0, 0, threading.Lock()
    paths = [tmp_path / str(number) for number in range(4)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(ALONE)

    def work(_: Path) -> None:
        nonlocal within, most
        with lock:
            within, most = within + 1, max(most, within + 1)
        time.sleep(0.01)
        with lock:
            within -= 1

    assert list(in_order(work, paths, lambda path: path, threads=3)) == [None] * 4
    assert most == 1


def test_decoders_are_quiet_until_the_last_thread_has_left() -> None:
    before = list(warnings.filters)
    with QUIET:
        other = threading.Thread(target=lambda: QUIET.__enter__())
        other.start()
        other.join()
    warnings.warn("odd metadata", stacklevel=1)  # would be an error in these tests
    QUIET.__exit__()
    assert warnings.filters == before
