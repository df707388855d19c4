"""Bits turned over and ends cut off in every file that a search keeps of itself: mended, or refused by name."""

import json
import signal
from pathlib import Path

import pytest

from nodes import crawling
from project import SmallProject, check_invariants, end
from vaeforge.chaos.damage import cut, flip_bit

TRIALS = 8
KEPT_LEDGER = Path(__file__).parents[1] / "ledgers/faults.jsonl"
COMMON = ("--trials", str(TRIALS), "--hosts", "1", "--register", "false", "--set", "training.steps_per_epoch=12")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, cluster: dict[str, str]) -> SmallProject:
    """A project with a tracked search that was killed in the middle."""
    project = SmallProject(tmp_path_factory.mktemp("killed"))
    process = project.start("tune", "--name", "d", *COMMON, **cluster)
    try:
        project.wait_for_events("d", "finished", process, 1)
        with crawling(project.worker("d")):  # on a busy machine the first one is told to MLflow much later
            project.wait_for(lambda: (project.root / "artifacts/searches/d/tracking.json").exists(), process)
            project.wait_for(lambda: bool(newest_of_several(project)), process)
            process.send_signal(signal.SIGKILL)
            process.wait(60)
    finally:
        end(process)
    return project


def newest_of_several(project: SmallProject) -> list[Path]:
    """The newest checkpoint of each trial that has not ended and can fall back on an earlier one."""
    ended = {event["trial"] for event in project.events("d", "finished")}
    files: dict[int, list[str]] = {}
    for event in project.events("d", "reported"):
        files.setdefault(event["trial"], []).append(event["checkpoint"]["file"])
    return [Path(own[-1]) for trial, own in files.items() if trial not in ended and len(own) > 1]


@pytest.mark.long
def test_what_a_search_keeps_beside_its_ledger_may_be_damaged(killed: SmallProject, cluster: dict[str, str]) -> None:
    folder = killed.root / "artifacts/searches/d"
    for path in newest_of_several(killed):
        flip_bit(path, 0.5)
    for name, place in (("processes.json", 0.5), ("optuna.journal", 0.7), ("lock", 0.3)):
        (folder / name).touch()
        cut(folder / name, place)
    (folder / "requests").mkdir(exist_ok=True)
    (folder / "requests/stop").write_text("{")  # asked of the session that is gone
    killed.run("tune", "--name", "d", "--resume", *COMMON, **cluster)
    killed.call("sync", "--name", "d")
    check_invariants(killed, "d", TRIALS, repeated=1, tracking_uri=f"sqlite:///{killed.root / 'mlflow.db'}")


@pytest.mark.parametrize("damage", [flip_bit, cut])
def test_a_damaged_line_of_a_ledger_is_counted_and_its_search_is_not_continued(tmp_path: Path, damage: object) -> None:
    project = SmallProject(tmp_path)
    first, second, *others = KEPT_LEDGER.read_bytes().splitlines(keepends=True)
    line = tmp_path / "line"
    line.write_bytes(second.rstrip(b"\n"))
    if damage is cut:
        cut(line, 0.5)
    else:
        line.write_bytes(b"\x7b\x7b" + line.read_bytes()[2:])
    ledger = project.root / "artifacts/searches/d/ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    ledger.write_bytes(b"".join([first, line.read_bytes() + b"\n", *others]))
    refused = project.call("tune", "--name", "d", "--resume", *COMMON, code=2)
    assert "1 line(s) are damaged" in refused and "start a new search under another --name" in refused
    assert "1 line(s) of its ledger are damaged" in project.call("searches")
    assert json.loads(project.call("searches", "--json").splitlines()[-1])["state"] == "unreadable"
