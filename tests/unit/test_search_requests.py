"""Asking a running search to stop: files that another process writes and the search finds."""

import json
import multiprocessing
import threading
from pathlib import Path

import pytest
from filelock import lock_descriptor

from vaeforge.errors import SearchError
from vaeforge.ledger.events import TrialFinished, TrialSubmitted
from vaeforge.ledger.file import Ledger
from vaeforge.paths import Project
from vaeforge.search.requests import (
    SearchTarget,
    StopRequest,
    ask,
    clear,
    done,
    folder_of,
    holder,
    parse_target,
    pending,
)
from vaeforge.search.search_lock import SearchLock


def search(root: Path, name: str = "s") -> Path:
    """A search with a trial that runs, 0, and one that has ended, 1."""
    folder = Project(root).search(name)
    ledger = Ledger(folder / "ledger.jsonl")
    for number in (0, 1):
        ledger.append(TrialSubmitted(trial=number, params={}, group="g"))
    ledger.append(TrialFinished(trial=1, state="completed", value=1.0, epoch=1, seconds=1.0))
    ledger.close()
    return folder


def asked(folder: Path) -> list[int | None]:
    return [request.trial for request in pending(folder)]


def test_targets() -> None:
    assert parse_target("lipid-3f2a") == SearchTarget("lipid-3f2a")
    assert parse_target("lipid-3f2a#12") == SearchTarget("lipid-3f2a", 12)
    assert parse_target("a#b#3") == SearchTarget("a#b", 3)
    for wrong in ("", "#3", "s#", "s#x", "s#-1", "s#1.5", "s#²"):
        with pytest.raises(SearchError, match=f"got {wrong!r}, must be NAME or NAME#TRIAL"):
            parse_target(wrong)


@pytest.mark.parametrize("name", ["", ".", "..", "../searches/s", "s/trials", "/etc", "a\0b"])
def test_names_do_not_lead_elsewhere(tmp_path: Path, name: str) -> None:
    search(tmp_path)
    with pytest.raises(SearchError, match="must be the name of one folder"):
        folder_of(Project(tmp_path), name)
    assert folder_of(Project(tmp_path), "s") == Project(tmp_path).search("s")
    with pytest.raises(SearchError, match=r"search 't': not found"):
        folder_of(Project(tmp_path), "t")


def test_requests_are_found_once_each_and_taken_back(tmp_path: Path) -> None:
    folder = search(tmp_path)
    lock = SearchLock(folder)
    try:
        assert pending(folder) == []
        for trial in (0, None, 0):
            ask(folder, trial)
        assert asked(folder) == [None, 0]
        names = sorted(file.name for file in (folder / "requests").iterdir())
        assert names == ["stop", "stop-00000"]
        assert "process" in json.loads((folder / "requests/stop").read_text())["by"]
        for request in pending(folder) * 2:
            done(folder, request)
        assert asked(folder) == []
    finally:
        lock.close()


def test_what_cannot_be_stopped_is_refused(tmp_path: Path) -> None:
    folder = search(tmp_path)
    with pytest.raises(SearchError, match="is not running, there is nothing to stop"):
        ask(folder)
    lock = SearchLock(folder)
    try:
        with pytest.raises(SearchError, match=r"got trial 7, must be one of its trials \(0 to 1\)"):
            ask(folder, 7)
        with pytest.raises(SearchError, match="trial 1 has ended already: completed"):
            ask(folder, 1)
    finally:
        lock.close()
    assert pending(folder) == []


def test_files_of_another_hand(tmp_path: Path) -> None:
    """`touch requests/stop` counts; half-written files and other names do not."""
    place = tmp_path / "requests"
    place.mkdir()
    for name in ("stop", "stop-00012", "stop-123456", ".stop.12.tmp", "stop-3", "stop-0000012", "stop-00012.tmp", "go"):
        (place / name).touch()
    assert pending(tmp_path) == [
        StopRequest(None, "the file stop"),
        StopRequest(12, "the file stop-00012"),
        StopRequest(123456, "the file stop-123456"),
    ]
    clear(tmp_path)
    assert pending(tmp_path) == []
    assert len(list(place.iterdir())) == 5


def hold(folder: str, ready: "multiprocessing.synchronize.Event", over: "multiprocessing.synchronize.Event") -> None:
    lock = SearchLock(Path(folder))
    ready.set()
    over.wait(60)
    lock.close()


@pytest.mark.slow
def test_the_lock_of_another_process_names_it(tmp_path: Path) -> None:
    folder = search(tmp_path)
    assert holder(folder) is None
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(folder), ready, over))
    process.start()
    try:
        assert ready.wait(60)
        found = holder(folder)
        assert found is not None and found.startswith(f"process {process.pid} on ")
        ask(folder)
        assert asked(folder) == [None]
    finally:
        over.set()
        process.join(60)
    assert holder(folder) is None
    SearchLock(folder).close()  # asking did not keep the lock


def test_someone_else_who_looks_at_the_same_time_does_not_run_the_search(tmp_path: Path) -> None:
    folder = search(tmp_path)
    SearchLock(folder).close()
    other = (folder / "lock").open()
    assert lock_descriptor(other.fileno(), blocking=False)
    end = threading.Timer(0.05, other.close)
    end.start()
    assert holder(folder) is None
    end.join()


@pytest.mark.slow
def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    folder = search(tmp_path)
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(folder), ready, over))
    process.start()
    assert ready.wait(60)
    with pytest.raises(SearchError, match=f"search 's' is already running: process {process.pid} on "):
        SearchLock(folder)
    process.kill()
    process.join(60)
    SearchLock(folder).close()
