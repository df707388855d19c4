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

from vaeforge.config.experiment import Search
from vaeforge.errors import ResourceError, SearchError
from vaeforge.paths import write_json
from vaeforge.search.dispatch import resources
from vaeforge.search.dispatch.resources import (
    Placement,
    Supply,
    default_memory_limit,
    free_ranks,
    place,
    place_on,
    require_disk,
)
from vaeforge.search.search_lock import SearchLock, find_process


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
        ({"gpus_per_worker": 0.4}, 16, 4, Placement(8, 1, 0.4, 2)),  # two a GPU: 0.2 of each GPU make no fifth pair
        ({"gpus_per_worker": 2}, 16, 5, Placement(2, 1, 2.0, 8)),
        ({"deterministic": True}, 8, 0, Placement(1, 1, 0.0, 8)),
    ],
)
def test_placement(values: dict[str, Any], cpus: float, gpus: float, placement: Placement) -> None:
    assert place(search(**values), cpus, gpus) == placement


@pytest.mark.parametrize(
    ("values", "cpus", "gpus", "message"),
    [
        ({"workers": 64}, 2, 0, "64 CPUs and 0 GPUs; there are 2 CPUs"),
        ({"hosts": 3}, 2, 0, "asked for 3 worker groups of 1 worker each"),
        ({"device": "cuda"}, 2, 0, "there is no GPU"),
        ({"workers": 8}, 64, 4, "there are 64 CPUs and 4 GPUs"),
        ({"gpus_per_worker": 1.5}, 64, 4, r"search\.gpus_per_worker: got 1\.5, must be a fraction"),
        (
            {"gpus_per_worker": 0.4, "hosts": 9},
            64,
            4,
            r"asked for 9 worker groups .* 3\.6 GPUs; there are .* 4 GPUs",
        ),
    ],
)
def test_the_impossible_is_refused(values: dict[str, Any], cpus: float, gpus: float, message: str) -> None:
    with pytest.raises(ResourceError, match=message):
        place(search(**values), cpus, gpus)


def whole(nodes: list[Supply]) -> Supply:
    return Supply(sum(n.cpus for n in nodes), sum(n.gpus for n in nodes))


def test_a_worker_group_spans_nodes_where_one_is_too_small() -> None:
    nodes = [Supply(2, 0), Supply(2, 0)]
    assert place_on(search(workers=3), nodes, whole(nodes)) == Placement(1, 3, 0.0, 1)
    with pytest.raises(ResourceError, match=r"5 CPUs and 0 GPUs; there are 4 CPUs and 0 GPUs on 2 nodes"):
        place_on(search(workers=5), nodes, whole(nodes))


def test_a_worker_needs_its_gpus_and_its_core_on_one_node() -> None:
    nodes = [Supply(16, 0), Supply(1, 4)]  # cores on one, GPUs on the other
    assert place_on(search(), nodes, whole(nodes)).hosts == 1
    with pytest.raises(ResourceError, match="there are 17 CPUs and 4 GPUs on 2 nodes"):
        place_on(search(workers=2), nodes, whole(nodes))


@pytest.mark.parametrize(("free", "hosts"), [(8.0, 8), (5.25, 5), (4.34, 4), (0.71, 1)])
def test_as_many_worker_groups_start_as_there_is_room_for_now(free: float, hosts: int) -> None:
    """Another search holds 0.9 of a core for each of its 0, 3, 4 and 8 workers, and 0.01 for each of its trials."""
    placement = place_on(search(trials=50), [Supply(4, 0), Supply(4, 0)], Supply(free, 0))
    assert (placement.hosts, placement.threads) == (hosts, 1)  # threads for all hosts that may still come


@pytest.mark.parametrize(("cores", "busy"), [(2, 1), (8, 8), (16, 8), (100, 100)])
def test_own_worker_groups_take_a_whole_core_each(cores: int, busy: int) -> None:
    """Ray sets 0.9 of it aside, and 0.01 for each of Tune's trials, of which there is one more than worker groups."""
    free = cores - 0.9 * busy - 0.01 * (busy + 1)
    assert free_ranks([Supply(cores, 0)], Supply(free, 0), 0.0, own=busy) == cores - busy


def test_others_take_what_they_set_aside() -> None:
    assert free_ranks([Supply(4, 0)], Supply(1, 0), 0.0) == 1  # three tasks of a whole CPU each
    assert free_ranks([Supply(4, 2)], Supply(4, 0.5), 0.5) == 1  # half a GPU is left


def test_memory_goes_by_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "job_memory", lambda: 100_000)
    monkeypatch.setattr(resources, "job_cores", lambda: 8)
    assert default_memory_limit(2) == 20_000  # 80 % of 100,000 for four ranks of two threads
    assert default_memory_limit(64) == 80_000


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


@pytest.mark.slow
def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = SearchLock(tmp_path / "s")
    with pytest.raises(SearchError, match=f"process {os.getpid()} on "):
        SearchLock(tmp_path / "s")
    first.close()
    SearchLock(tmp_path / "s").close()


def test_leftovers_are_ended_by_id_and_start_time(tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    lock = SearchLock(tmp_path / "s")
    try:
        noted = [
            {"pid": sleeper.pid, "started": psutil.Process(sleeper.pid).create_time()},
            {"pid": stranger.pid, "started": 1.0},  # the id was reused since
            {"pid": os.getpid(), "started": psutil.Process().create_time()},
            {  # of the original of this project, which is still there
                "pid": stranger.pid,
                "started": psutil.Process(stranger.pid).create_time(),
                "folder": str(tmp_path),
            },
        ]
        write_json(tmp_path / "s/processes.json", noted)
        assert find_process(stranger.pid, 1.0) is None
        assert lock.end_leftovers() == 1
        assert sleeper.wait(5) == -9
        assert stranger.poll() is None
        (tmp_path / "s/processes.json").write_text("[{")
        assert lock.end_leftovers() == 0
    finally:
        lock.close()
        for process in (sleeper, stranger):
            process.kill()
            process.wait()
