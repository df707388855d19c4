"""What is said of searches and trials, and what a removal takes and leaves."""

import io
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ledger_events import event
from vaeforge.errors import ConfigError, SearchError
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.paths import Project, write_json
from vaeforge.records import to_json
from vaeforge.search import requests
from vaeforge.search.results import reports
from vaeforge.search.results.report_rows import BestTrial, InheritedWeights
from vaeforge.search.search_lock import SearchLock

PARAMS = {"model.latent_dim": 12, "beta.value": 0.5}


class Search:
    """A search's ledger, written as a search writes it."""

    def __init__(self, root: Path, name: str = "s", goals: dict[str, Any] | None = None):
        self.project = Project(root)
        self.folder = self.project.search(name)
        self.path = self.folder / "ledger.jsonl"
        header = {"name": name, "family": "lipid", "experiment_name": "vaeforge-lipid"}
        self.append("search", **header, space={"objective": goals or {}})

    def append(self, kind: str, **fields: Any) -> None:
        with closing(Ledger(self.path)) as ledger:
            ledger.append(event(kind, **fields))

    def submit(self, number: int, repeats: int | None = None) -> None:
        self.append("submitted", trial=number, params=PARAMS, group="linear", repeat_of=repeats)
        self.append("leased", trial=number, attempt=1, host=0, generation=1)

    def report(self, number: int, epoch: int, value: float) -> None:
        file = self.folder / f"trials/{number:05d}/epoch-{epoch:05d}.pt"
        best = {"file": str(file), "sha256": "0", "epoch": epoch}
        measured = {"metrics": {"val/nelbo": value}, "value": value, "seconds": 1.5, "outcome": "running"}
        self.append("reported", trial=number, epoch=epoch, attempt=1, checkpoint=best, best=best, **measured)

    def report_beside(self, number: int, epoch: int, *others: int) -> None:
        cost = {"seconds": 1.5, "core_seconds": 3.0, "gpu_seconds": 1.25}
        self.append("reported", trial=number, epoch=epoch, metrics={}, value=1.0, beside=others or None, **cost)

    def finish(self, number: int, state: str, cause: str | None = None, value: float | None = None) -> None:
        self.append("finished", trial=number, state=state, cause=cause, value=value, epoch=2, seconds=3.0)

    def decide(self, number: int, epoch: int, action: str, value: float, **more: Any) -> None:
        self.append("decided", trial=number, epoch=epoch, action=action, value=value, **more)

    @property
    def history(self) -> SearchHistory:
        return read_history(self.path)


@pytest.fixture
def full(tmp_path: Path) -> Search:
    """One trial of each end: 0 completed, 1 stopped at a rung, 2 crashed, 3 by request, 4 inherits, 5 repeats 0."""
    search = Search(tmp_path)
    for number in range(5):
        search.submit(number)
    search.submit(5, repeats=0)
    for number in (0, 1, 2, 3, 4):
        search.report(number, 1, 10.0 + number)
        search.report(number, 2, 8.0 + number)
    search.decide(0, 2, "go", 8.0, needed=8.5, why="best of 2")
    search.finish(0, "completed", None, 8.0)
    search.decide(1, 2, "stop", 9.0, needed=8.5, why="rung 2: 9, cut-off 8.5")
    search.finish(1, "stopped", "rung 2: 9, cut-off 8.5", 9.0)
    for attempt in (1, 2):
        crash = {"cause": "oom", "traceback": f"Traceback [{attempt}]:\nOutOfMemoryError"}
        search.append("crashed", trial=2, attempt=attempt, **crash)
    search.finish(2, "failed", "oom", 10.0)
    search.finish(3, "stopped", "stopped on request", 11.0)
    donated = {"file": "from-00000-epoch-00002/e2", "sha256": "0", "epoch": 2}
    inherited = {"params": {**PARAMS, "beta.value": 0.6}, "checkpoint": donated, "best": None, "metrics": {}}
    search.decide(4, 2, "inherit", 12.0, donor=0, why="generation 1: worst of 4", **inherited)
    return search


def shown(renderable: Any) -> str:
    """What is printed of tables."""
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_each_trial_says_why_it_ended(full: Search) -> None:
    rows = reports.trials(full.history)
    assert [row.trial for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row.why for row in rows] == [
        "ran all 2 epochs",
        "stopped at rung 2: 9, cut-off 8.5",
        "oom: out of memory, epoch 2",
        "stopped on request",
        "has not ended: epoch 2",
        "has not ended: waits for its first epoch",
    ]
    assert [row.attempts for row in rows] == [1, 1, 3, 1, 1, 1]
    assert rows[0].repeats == (5,) and rows[5].repeat_of == 0
    assert rows[4].inherited == (InheritedWeights(epoch=2, donor=0),) and rows[4].params["beta.value"] == 0.6
    assert json.loads(json.dumps(to_json(rows), allow_nan=False)) == to_json(rows)
    text = shown(reports.trials_table(rows, "s[0]", full.history))
    assert "6 trials of s[0]" in text and "weights of 0 after epoch 2" in text and "repeats 0" in text
    assert "best trial: 0, val/nelbo 8.00 (of the run that chose it, optimistic" in " ".join(text.split())


def test_a_decision_without_words_is_told_in_numbers(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.submit(0)
    search.report(0, 6, -19720.1)
    search.decide(0, 6, "stop", -19720.1, needed=-19801.3)
    search.finish(0, "stopped", None, -19720.1)
    assert reports.trials(search.history)[0].why == "stopped at rung 6: -19720.1, cut-off -19801.3"


def test_trials_are_chosen_by_state(full: Search) -> None:
    def numbers(state: str) -> list[int]:
        return [row.trial for row in reports.trials(full.history, state)]

    assert numbers("stopped") == [1, 3] and numbers("running") == [4, 5] and numbers("failed") == [2]
    assert numbers("early_stopped") == []
    with pytest.raises(ConfigError, match=r"--state: got 'stoped', must be one of running, .*did you mean 'stopped'"):
        reports.trials(full.history, "stoped")


def test_one_trial_in_full(full: Search) -> None:
    crashed = reports.trial(full.history, 2)
    assert [crash.attempt for crash in crashed.crashes] == [1, 2]
    assert "Traceback [2]:" in crashed.crashes[1].traceback
    assert [epoch.value for epoch in crashed.epochs] == [12.0, 10.0]
    text = shown(reports.trial_view(crashed))
    assert "Trial 2: failed" in text and "attempt 1: oom" in text and "Traceback [1]:" in text
    stopped = reports.trial(full.history, 1)
    assert to_json(stopped)["decisions"][0] == {
        "epoch": 2,
        "action": "stop",
        "value": 9.0,
        "needed": 8.5,
        "why": "rung 2: 9, cut-off 8.5",
        "donor": None,
        "params": None,
    }
    assert "stop: rung 2: 9, cut-off 8.5" in shown(reports.trial_view(stopped))
    assert json.loads(json.dumps(to_json(stopped), allow_nan=False)) == to_json(stopped)
    with pytest.raises(SearchError, match=r"trial: got 9, must be one of the search's trials \(0 to 5\)"):
        reports.trial(full.history, 9)


def test_lanes_are_listed_with_their_company_and_their_own_cost(tmp_path: Path) -> None:
    search = Search(tmp_path)
    for number in range(3):
        search.submit(number)
    search.report_beside(0, 1)
    search.report_beside(0, 2, 1, 2)
    search.report_beside(1, 1, 0, 2)
    search.report_beside(1, 2, 0)
    first, second, third = reports.trials(search.history)
    assert (first.lanes, first.beside, first.core_seconds, first.gpu_seconds) == (3, (1, 2), 6.0, 2.5)
    assert (second.lanes, second.beside) == (3, (0, 2)) and (third.lanes, third.beside) == (1, ())
    (line, *_) = to_json(reports.trials(search.history))
    assert (line["lanes"], line["beside"], line["core_seconds"], line["gpu_seconds"]) == (3, [1, 2], 6.0, 2.5)
    header = shown(reports.trials_table([first, third], "s", search.history)).splitlines()[2]
    assert [cell.strip() for cell in header.split("┃")][6:9] == ["time", "lanes", "attempts"]
    assert "lanes" not in shown(reports.trials_table([third], "s", search.history))
    text = shown(reports.trial_view(reports.trial(search.history, 0)))
    assert "6 s of a core, 2 s of a GPU" in text
    assert "one of up to 3, beside trials 1, 2; time and cost are its share" in text
    assert "beside" in text and "│ 1 2 " in text
    assert [one.beside for one in reports.trial(search.history, 0).epochs] == [(), (1, 2)]
    assert "beside" not in shown(reports.trial_view(reports.trial(search.history, 2)))


def test_a_checkpoint_is_named_while_it_is_there(full: Search) -> None:
    file = full.folder / "trials/00000/epoch-00002.pt"
    assert reports.trial(full.history, 0).checkpoint is None
    file.parent.mkdir(parents=True)
    file.touch()
    assert reports.trial(full.history, 0).checkpoint == str(file)


def ends(search: Search) -> None:
    search.append("ended", reason="target: 8 <= 9")


def interrupted(search: Search) -> None:
    search.append("interrupted", signal="SIGINT")


def goes_on(search: Search) -> None:
    interrupted(search)
    search.append("resumed", trials=9)


@pytest.mark.parametrize(
    ("do", "state", "about"),
    [
        (ends, "ended", "target: 8 <= 9"),
        (interrupted, "interrupted", "SIGINT"),
        (goes_on, "interrupted", "its process ended without a word"),
    ],
)
def test_how_a_search_stands(full: Search, do: Callable[[Search], None], state: str, about: str) -> None:
    do(full)
    (row,) = reports.searches(full.project)
    assert (row.state, row.about, row.family) == (state, about, "lipid")
    assert row.trials == {"completed": 1, "stopped": 2, "failed": 1, "running": 2}
    assert row.best == BestTrial(trial=0, value=8.0, sd=None, optimistic=True)
    assert row.started is not None and row.newest is not None and row.started <= row.newest
    assert row.size == (full.folder / "ledger.jsonl").stat().st_size


def test_a_search_that_runs_is_told_by_its_lock(full: Search) -> None:
    lock = SearchLock(full.folder)
    try:
        (row,) = reports.searches(full.project)
        assert (row.state, row.about) == ("running", requests.holder(full.folder))
        requests.ask(full.folder)
        assert reports.searches(full.project)[0].about.endswith("asked to stop")
    finally:
        lock.close()
    assert reports.searches(full.project)[0].state == "interrupted"


def test_the_list_bears_damage_and_emptiness(tmp_path: Path) -> None:
    assert reports.searches(Project(tmp_path)) == []
    Search(tmp_path, "good")
    broken = Search(tmp_path, "broken")
    broken.path.write_text('{"event": "search", "time": 1}\nnot JSON [/]\n{"event": "ended"}\n')
    Project(tmp_path).search("empty").mkdir()
    (tmp_path / "artifacts/searches/file").touch()
    rows = {row.name: row for row in reports.searches(Project(tmp_path))}
    assert set(rows) == {"good", "broken", "empty"}
    assert (rows["broken"].state, rows["broken"].about) == ("unreadable", "3 line(s) of its ledger are damaged")
    assert rows["empty"].state == "empty" and rows["good"].best is None
    text = shown(reports.searches_table(list(rows.values()), now=(rows["good"].started or 0.0) + 7200))
    assert "3 searches" in text and "2 h ago" in text and "lipid" in text


def test_hard_links_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").write_bytes(b"x" * 10)
    (tmp_path / "d").symlink_to("/nowhere")
    assert reports.size_of(tmp_path) == 1010 + len("/nowhere")


def test_removing_takes_the_folder_and_says_what_stays(full: Search) -> None:
    (full.folder / "trials/00000").mkdir(parents=True)
    other = Search(full.project.root, "other")
    for step, name in (("tune", "s"), ("train", "other")):
        write_json(full.project.step(step) / "manifest.json", {"search": name})
    left = reports.remove(full.project, "s")
    assert not full.folder.exists() and other.folder.exists()
    assert len(left) == 2
    assert "experiment vaeforge-lipid" in left[0] and "tune/manifest.json" in left[1]
    with pytest.raises(SearchError, match="not found"):
        reports.remove(full.project, "s")


@pytest.mark.slow
def test_what_runs_or_lies_elsewhere_is_not_removed(full: Search, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (full.folder.parent / "link").symlink_to(outside)
    lock = SearchLock(full.folder)
    try:
        with pytest.raises(SearchError, match=r"'s' is already running: process \d+"):
            reports.remove(full.project, "s")
    finally:
        lock.close()
    with pytest.raises(SearchError, match="is a link to"):
        reports.remove(full.project, "link")
    for name in ("..", ".", "", "../searches", str(outside)):
        with pytest.raises(SearchError, match="must be the name of one folder"):
            reports.remove(full.project, name)
    assert outside.is_dir() and full.path.exists()


def test_a_removal_that_failed_half_way_can_be_repeated(full: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path) -> None:
        raise PermissionError(13, "not allowed", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(reports.shutil, "rmtree", fails)
        with pytest.raises(SearchError, match=r"could not be removed: .*not allowed"):
            reports.remove(full.project, "s")
    assert reports.searches(full.project)[0].state == "empty"
    assert reports.remove(full.project, "s") == []
    assert not full.folder.exists()
