"""What is refused for want of room, locks, and leftovers of killed sessions."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from vaeforge.config import Search
from vaeforge.errors import ResourceError, SearchError
from vaeforge.paths import write_json
from vaeforge.search.resources import Placement, place, require_disk
from vaeforge.search.session import Session, find_process


def search(**values: Any) -> Search:
    return Search.model_validate(values)


@pytest.mark.parametrize(
    ("values", "cpus", "gpus", "placement"),
    [
        ({}, 2, 0, Placement(2, 1, 0.0, 1)),
        ({"workers": 2}, 2, 0, Placement(1, 2, 0.0, 1)),
        ({"trials": 1}, 8, 0, Placement(1, 1, 0.0, 8)),
        ({"hosts": 3}, 8, 0, Placement(3, 1, 0.0, 2)),
        ({}, 16, 4, Placement(4, 1, 1.0, 4)),
        ({"workers": 2}, 16, 4, Placement(2, 2, 1.0, 4)),
        ({"gpus_per_worker": 0.5}, 16, 4, Placement(8, 1, 0.5, 2)),
        ({"device": "cpu"}, 4, 4, Placement(4, 1, 0.0, 1)),
        ({"gpus_per_worker": 0.1}, 64, 1, Placement(10, 1, 0.1, 6)),
    ],
)
def test_placement(values: dict[str, Any], cpus: float, gpus: float, placement: Placement) -> None:
    assert place(search(**values), cpus, gpus) == placement


@pytest.mark.parametrize(
    ("values", "cpus", "gpus", "message"),
    [
        ({"workers": 64}, 2, 0, "64 CPUs and 0 GPUs; there are 2 CPUs"),
        ({"hosts": 3}, 2, 0, r"asked for 3 host\(s\)"),
        ({"device": "cuda"}, 2, 0, "there is no GPU"),
        ({"workers": 8}, 64, 4, "there are 64 CPUs and 4 GPUs"),
    ],
)
def test_the_impossible_is_refused(values: dict[str, Any], cpus: float, gpus: float, message: str) -> None:
    with pytest.raises(ResourceError, match=message):
        place(search(**values), cpus, gpus)


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placement = Placement(2, 1, 0.0, 1)
    assert require_disk(tmp_path, 100, search(), placement) == 100 * (4 * 3 + 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(ResourceError, match=r"up to 0\.15 GB and 0\.00 GB are free"):
        require_disk(tmp_path, 10_000_000, search(), placement)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be written"):
        require_disk(tmp_path / "file" / "search", 1, search(), Placement(1, 1, 0.0, 1))


def test_one_session_at_a_time(tmp_path: Path) -> None:
    first = Session(tmp_path / "s")
    with pytest.raises(SearchError, match=f"process {os.getpid()} on "):
        Session(tmp_path / "s")
    first.close()
    Session(tmp_path / "s").close()


def test_leftovers_are_ended_by_id_and_start_time(tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    session = Session(tmp_path / "s")
    try:
        noted = [
            {"pid": sleeper.pid, "started": psutil.Process(sleeper.pid).create_time()},
            {"pid": stranger.pid, "started": 1.0},  # the id was reused since
            {"pid": os.getpid(), "started": psutil.Process().create_time()},
        ]
        write_json(tmp_path / "s/processes.json", noted)
        assert find_process(noted[1]) is None
        assert session.end_leftovers() == 1
        assert sleeper.wait(5) == -9
        assert stranger.poll() is None
        (tmp_path / "s/processes.json").write_text("[{")
        assert session.end_leftovers() == 0
    finally:
        session.close()
        for process in (sleeper, stranger):
            process.kill()
            process.wait()
