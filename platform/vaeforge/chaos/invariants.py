"""Invariants of a search: what must hold of its folder, its store and its processes, whatever happened to it.

One checker serves `vaeforge chaos` and the tests of faults. It accepts no failed trial whose cause the caller has not
named.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vaeforge.chaos.ledger_rules import RULES, Expected
from vaeforge.chaos.processes import left_behind
from vaeforge.errors import CheckpointError
from vaeforge.ledger.file import LedgerReader
from vaeforge.ledger.history import SearchHistory, fold
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.results.ranking import retained_trials
from vaeforge.search.search_lock import NotedProcess
from vaeforge.search.space.objective_form import objective_of
from vaeforge.training.checkpoint_files import Checkpoint, verified_file


@dataclass(frozen=True)
class Invariant:
    """What must hold, and what breaks it, one line each; empty where it holds."""

    name: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Watched:
    """What the caller knows of a search's processes.

    Attributes:
        mark: value of the environment variable `processes.MARK` that they were started with.
        seen: those that were seen while it ran.
    """

    mark: str
    seen: tuple[NotedProcess, ...] = ()


def check_search(
    search_folder: Path,
    expected: Expected | None = None,
    watched: Watched | None = None,
    tracking_uri: str | None = None,
) -> list[Invariant]:
    """All invariants of the search in `search_folder`.

    Args:
        search_folder: `artifacts/searches/NAME`.
        expected: what is known of it; without, a search that has ended, in which nothing failed.
        watched: its processes; without, only those that it has noted itself are looked for.
        tracking_uri: a store that has been told everything; without, none is looked at.

    Raises:
        OSError: if the ledger cannot be read.
        TrackingError: if the store cannot be used.
    """
    expected = expected or Expected()
    reader = LedgerReader(search_folder / "ledger.jsonl")
    events = list(reader.read())
    history = fold(events, folder=search_folder)
    found = [Invariant(name, tuple(rule(events, expected))) for name, rule in RULES.items()]
    damaged = [f"{reader.damaged} lines are no events"] if reader.damaged else []
    found.append(Invariant("every line of the ledger can be read", tuple(damaged)))
    found.append(
        Invariant("promised checkpoints are there, as they were written", tuple(_missing(history, expected.taken)))
    )
    found.append(Invariant("no temporary file is left", tuple(_temporary(search_folder))))
    if expected.ended:
        from vaeforge.search.samplers.optuna_bridge.journal_agreement import journal_disagreements  # brings Optuna

        differing = journal_disagreements(search_folder / "optuna.journal", history)
        found.append(Invariant("Optuna's journal agrees with the ledger", tuple(differing)))
    processes = watched or Watched(str(search_folder))
    left = left_behind(search_folder, processes.mark, processes.seen)
    found.append(Invariant("no process is left", tuple(left)))
    if tracking_uri is not None:
        from vaeforge.track.agreement import disagreements  # brings MLflow

        found.append(Invariant("MLflow agrees with the ledger", tuple(disagreements(search_folder, tracking_uri))))
    return found


def problems_in(invariants: Collection[Invariant]) -> list[str]:
    """What breaks any of them, with its name before it."""
    return [f"{one.name}: {line}" for one in invariants for line in one.problems]


def _missing(history: SearchHistory, taken: Collection[int]) -> list[str]:
    """Checkpoints that the search still needs or hands on, and that cannot be read as they were written."""
    promised = [_promised(trial) for trial in _with_promise(history) if trial.number not in taken]
    return [problem for checkpoint in promised if (problem := _problem(checkpoint)) is not None]


def _with_promise(history: SearchHistory) -> list[TrialRecord]:
    """Trials that have not ended, and those whose best checkpoint is kept."""
    if history.header is None:
        return []
    kept = int(history.header.settings.get("search", {}).get("keep_checkpoints", 0))
    names = retained_trials(history, objective_of(history), kept)
    return [*history.unfinished(), *(history.trials[number] for number in sorted(names))]


def _promised(trial: TrialRecord) -> Checkpoint | None:
    return trial.best if trial.state is not None else next(iter(trial.checkpoints()), None)


def _problem(checkpoint: Checkpoint | None) -> str | None:
    if checkpoint is None:
        return None
    try:
        with verified_file(checkpoint):
            return None
    except CheckpointError as error:
        return str(error)


def _temporary(search_folder: Path) -> list[str]:
    """Files that were being written when their process died, in the search's folder and in the steps' beside it."""
    return sorted(str(path) for path in search_folder.parents[1].rglob("*.tmp"))
