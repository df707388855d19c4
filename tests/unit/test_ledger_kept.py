"""Ledgers that an earlier build wrote, see `tests/ledgers/README.md`: each folds, lists, syncs, traces and goes on."""

import json
import shutil
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest

from manifest_samples import model_of
from vaeforge.errors import SearchError
from vaeforge.ledger.events import SearchResumed, TrialDecided, from_json
from vaeforge.ledger.file import Ledger, LedgerReader, read_events
from vaeforge.ledger.history import SearchHistory, fold, read_history
from vaeforge.paths import Project, read_json
from vaeforge.records import to_json
from vaeforge.registry.resolve_model import TracedModel
from vaeforge.registry.trace import trace
from vaeforge.search.dispatch.dispatcher import Dispatcher
from vaeforge.search.dispatch.types import DispatchConfig
from vaeforge.search.plan import earlier_history
from vaeforge.search.results import reports
from vaeforge.search.schedulers.base import RungReport
from vaeforge.search.space.space import parse_space
from vaeforge.track.replay import run_ids, sync
from vaeforge.track.store import open_store

FOLDER = Path(__file__).parents[1] / "ledgers"
NAMES = ("faults", "population", "budget")
COUNTS = {
    "faults": {"completed": 5, "stopped": 2},
    "population": {"completed": 4},
    "budget": {"stopped": 3},
}


def lines_of(name: str) -> list[str]:
    return (FOLDER / f"{name}.jsonl").read_text().splitlines()


def newest(name: str) -> dict[int, dict[int, dict[str, Any]]]:
    """The newest report of each trial's epochs, straight from the lines."""
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for line in map(json.loads, lines_of(name)):
        if line["event"] == "reported":
            found.setdefault(line["trial"], {})[line["epoch"]] = line
    return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with the kept searches in it, as a later build finds them."""
    project = Project(tmp_path)
    for name in NAMES:
        project.search(name).mkdir(parents=True)
        shutil.copy(FOLDER / f"{name}.jsonl", project.search(name) / "ledger.jsonl")
        shutil.copy(FOLDER / f"{name}.manifest.json", project.search(name) / "manifest.json")
    return project


@pytest.mark.parametrize("name", NAMES)
def test_each_line_is_read_and_written_as_it_was(name: str) -> None:
    for line in lines_of(name):
        assert json.dumps(from_json(json.loads(line)).to_json(), separators=(",", ":")) == line


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_report_of_each_epoch_counts(name: str) -> None:
    history, wanted = read_history(FOLDER / f"{name}.jsonl"), newest(name)
    assert history.damaged == 0 and history.counts() == COUNTS[name]
    for number, trial in history.trials.items():
        told = {epoch: (report.value, dict(report.metrics)) for epoch, report in trial.reports.items()}
        lines = wanted.get(number, {})
        assert told == {epoch: (line["value"], line["metrics"]) for epoch, line in lines.items()}


def test_what_the_ledgers_were_kept_for_is_in_them() -> None:
    faults, population, budget = (read_history(FOLDER / f"{name}.jsonl") for name in NAMES)
    assert [crash.cause for crash in faults.trials[0].crashes] == ["lost"]
    epochs = [
        line["epoch"] for line in map(json.loads, lines_of("faults")) if line.get("metrics") and not line["trial"]
    ]
    assert epochs == [1, 2, 3, 4, 4, 5, 6]
    assert {trial.number: trial.repeat_of for trial in faults.trials.values() if trial.repeat_of is not None} == {
        5: 2,
        6: 0,
    }
    assert [event.kind for event in read_events(FOLDER / "faults.jsonl")].count("resumed") == 1
    inheritances = [trial.inheritance for trial in population.trials.values() if trial.inheritance is not None]
    assert len(inheritances) >= 1 and all(one.state.checkpoint.inherited for one in inheritances)
    assert budget.ended is not None and budget.ended.reason.startswith("core-hours")


def test_a_session_that_was_interrupted_is_taken_up_where_it_was(tmp_path: Path) -> None:
    """`faults`, as its second session found it: trial 4 had reported one epoch, and goes on from its checkpoint."""
    lines = lines_of("faults")
    cut = next(n for n, line in enumerate(lines) if isinstance(from_json(json.loads(line)), SearchResumed))
    path = tmp_path / "ledger.jsonl"
    path.write_text("\n".join(lines[: cut + 1]) + "\n")
    ledger, history = Ledger(path), read_history(path)
    assert history.phase == "running" and history.groups == {}
    before = [(trial.number, trial.params, trial.epoch) for trial in history.unfinished()]
    dispatcher = Dispatcher(ledger, history, DispatchConfig())
    dispatcher.recover(now=0.0)
    assert list(dispatcher.waiting) == [number for number, _, _ in before] == [4]
    assert history.trials[4].epoch == 1
    assert [state.epoch for state in history.trials[4].checkpoints()] == [1]
    lease = dispatcher.lease(0, dispatcher.register(0, (), now=0.0), now=0.0)
    assert lease is not None and (lease.trial, lease.attempt) == (4, 2)
    ledger.close()


def until(name: str, decisions: int) -> SearchHistory:
    """The history until so many decisions have been written."""
    history = SearchHistory()
    for event in read_events(FOLDER / f"{name}.jsonl"):
        history.apply(event)
        decisions -= isinstance(event, TrialDecided)
        if not decisions:
            return history
    raise AssertionError("fewer decisions")


def test_a_generation_that_was_half_decided_is_decided_as_it_was() -> None:
    """Four members, so that the first generation is the first four decisions: two of them were written."""
    history, whole = until("population", 2), read_history(FOLDER / "population.jsonl")
    assert history.header is not None
    space = parse_space(history.header.space, "ledger")
    scheduler = space.build_scheduler(history.header.seed or 0, 4)
    scheduler.replay(history)

    given = []
    for trial in history.trials.values():
        report = trial.reports[2].metrics["val/nelbo"]
        assert report is not None
        given += scheduler.on_report(RungReport(trial.number, trial.group, trial.params), 2, report)
    found = {decision.trial: (decision.action, decision.donor) for decision in given}
    wanted = {number: (trial.decisions[2].action, trial.decisions[2].donor) for number, trial in whole.trials.items()}
    assert {number: wanted[number] for number in found} == found and len(found) == 4


def test_searches_and_their_trials_are_listed(project: Project) -> None:
    rows = {row.name: row for row in reports.searches(project)}
    assert {name: (row.state, row.trials) for name, row in rows.items()} == {n: ("ended", COUNTS[n]) for n in NAMES}
    for name in NAMES:
        history, manifest = (
            read_history(project.search(name) / "ledger.jsonl"),
            read_json(FOLDER / f"{name}.manifest.json", ""),
        )
        listed = to_json(reports.trials(history))
        assert json.loads(json.dumps(listed, allow_nan=False)) == listed
        best = rows[name].best
        assert best is not None and best.trial == manifest["trial"]
        # its repeats alone: the earlier build counted the run that chose it among them
        own = [history.trials[run].value for run in manifest["repeats"]["runs"]]
        assert manifest["repeats"]["value"] == pytest.approx(fmean(value for value in own if value is not None))
        assert best.value == (own[0] if len(own) == 1 else pytest.approx(fmean(value for value in own[1:] if value)))
        candidates = [one for one in history.trials.values() if one.repeat_of is None and one.value is not None]
        assert best.optimistic == (len(own) == 1 and len(candidates) > 1)
        detail = reports.trial(history, manifest["trial"])
        assert detail.best_metrics == manifest["metrics"]


@pytest.mark.slow
def test_a_store_is_told_them_and_traces_lead_back_to_them(project: Project) -> None:
    uri = f"sqlite:///{project.root / 'mlflow.db'}"
    for name in NAMES:
        assert sync(project.search(name), uri) == COUNTS[name]
        client, ids, history = (
            open_store(uri),
            run_ids(project.search(name)),
            read_history(project.search(name) / "ledger.jsonl"),
        )
        for number, trial in history.trials.items():
            data = client.get_run(ids.trials[number]).data
            assert data.tags["vaeforge.state"] == trial.state
            assert data.metrics.get("val/nelbo") == (trial.last.metrics["val/nelbo"] if trial.last else None)
            assert ("vaeforge.inherited" in data.tags) == (trial.inheritance is not None)
        manifest = read_json(project.search(name) / "manifest.json", "")
        manifest["mlflow"] |= {"run_id": ids.trials[manifest["trial"]], "parent_run_id": ids.parent}
        chain = trace(TracedModel(name, model_of(manifest), project.search(name)), project, uri)
        states = {link.kind: link.state for link in chain.all()}
        assert [states[kind] for kind in ("run", "trial", "search", "space")] == ["verified"] * 4


def test_history_does_not_depend_on_how_the_lines_were_read(tmp_path: Path) -> None:
    path, text = tmp_path / "ledger.jsonl", (FOLDER / "faults.jsonl").read_bytes()
    path.write_bytes(b"")
    reader, events = LedgerReader(path), []
    for start in range(0, len(text), 997):
        with path.open("ab") as file:
            file.write(text[start : start + 997])
        events += list(reader.read())
    assert vars(fold(events, folder=tmp_path).trials[0]) == vars(read_history(path).trials[0])


def test_a_search_with_a_damaged_ledger_is_shown_as_such_and_not_resumed(project: Project) -> None:
    ledger = project.search("faults") / "ledger.jsonl"
    first, second, *others = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join([first, second[:40] + "\n", *others]))
    row = next(row for row in reports.searches(project) if row.name == "faults")
    assert (row.state, row.about) == ("unreadable", "1 line(s) of its ledger are damaged")
    plan: Any = SimpleNamespace(ledger=ledger, name="faults", folder=ledger.parent)
    with pytest.raises(SearchError, match=r"1 line\(s\) are damaged.*another --name"):
        earlier_history(plan, named=True, resume=True)


def test_the_folder_of_a_search_may_lie_anywhere() -> None:
    assert Project.of_search(Path("/home/lab/artifacts/searches/s")).root == Path("/home/lab")
    assert Project.of_search(Path("/s")).root == Path("/")
