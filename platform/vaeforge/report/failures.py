"""Failures of a search's trials: which causes, how often, what the last crash said, and what can be done."""

from collections.abc import Iterator
from dataclasses import dataclass

from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.report.figure import Cell, DataTable
from vaeforge.report.record import SearchRecord
from vaeforge.search.results.reports import FAILURES

LONGEST = 300  # characters of a crash's last line
REMEDIES = {
    "nan": "lower optimizer.lr, or --set optimizer.gradient_limit",
    "exploded": "lower optimizer.lr, or raise optimizer.gradient_limit",
    "oom": "lower training.batch_size or --hosts, or search smaller models",
    "disk": "make room where the checkpoints lie, then --resume",
    "checkpoint": "see whether the disk is sound, then --resume",
    "crash": "see the traceback in `vaeforge trials NAME#TRIAL`, then --resume --retry failed",
    "hang": "raise search.hang_seconds, then --resume --retry failed",
    "lost": "see why processes or nodes went, then --resume",
}


@dataclass(frozen=True)
class _Group:
    cause: str
    trials: tuple[TrialRecord, ...]


def failures(record: SearchRecord) -> DataTable:
    """One row a cause, the most frequent first; without rows where no trial failed."""
    rows: list[dict[str, Cell]] = [
        {
            "cause": group.cause,
            "trials": len(group.trials),
            "which": ", ".join(str(trial.number) for trial in group.trials[:12])
            + (f" and {len(group.trials) - 12} more" if len(group.trials) > 12 else ""),
            "what happened": FAILURES.get(group.cause, "see its crashes"),
            "last crash": last_words(group.trials),
            "what to do": REMEDIES.get(group.cause, REMEDIES["crash"]).replace("NAME", record.name),
        }
        for group in _groups(record)
    ]
    return DataTable.of(rows)


def _groups(record: SearchRecord) -> list[_Group]:
    failed = [trial for trial in record.history.trials.values() if trial.state == "failed"]
    causes = dict.fromkeys(trial.cause or "crash" for trial in failed)
    groups = [_Group(cause, tuple(t for t in failed if (t.cause or "crash") == cause)) for cause in causes]
    return sorted(groups, key=lambda group: -len(group.trials))


def last_words(trials: tuple[TrialRecord, ...]) -> str:
    """The last line of the newest traceback among `trials`; empty where none left one."""
    for trial in reversed(trials):
        for crash in reversed(trial.crashes):
            lines = [line.strip() for line in crash.traceback.splitlines() if line.strip()]
            if lines:
                return lines[-1][:LONGEST]
    return ""


def failure_sentences(record: SearchRecord) -> Iterator[str]:
    """Where all trials of a search failed: that nothing is handed on, and of what they failed."""
    states = [trial.state for trial in record.history.trials.values()]
    if not states or set(states) != {"failed"}:
        return
    groups = _groups(record)
    counts = ", ".join(
        f"{len(group.trials)} of {group.cause} ({FAILURES.get(group.cause, 'see its crashes')})" for group in groups
    )
    yield f"All {len(states)} trials failed, so that no model is handed on and nothing is registered: {counts}."
    if words := last_words(groups[0].trials):
        yield f"The newest crash ended with: {words}"
