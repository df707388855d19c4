"""Reports on searches: those of a project, the trials of one and why each ended; and the removal of a search.

Everything is read from the ledgers, so that a search can be looked at while it runs, and on a machine without Ray.
Rows are records (`report_rows.py`), of which the lines of `--json` and the tables are made.
"""

import os
import shutil
import time
from heapq import nsmallest
from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vaeforge.errors import ConfigError, SearchError, nearest
from vaeforge.ledger.events import SearchHeader
from vaeforge.ledger.file import read_events
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.paths import Project, read_json
from vaeforge.progress_bar import duration
from vaeforge.search.progress_view import COLLAPSED, counted, describe, in_bytes, number, spread, winner_words
from vaeforge.search.requests import folder_of, holder, pending
from vaeforge.search.results.ranking import best_so_far, ranked, repeats_of, winner
from vaeforge.search.results.report_rows import (
    BestTrial,
    CrashRow,
    DecisionRow,
    EpochRow,
    InheritedWeights,
    SearchRow,
    TrialDetail,
    TrialRow,
)
from vaeforge.search.results.winner_value import winner_value
from vaeforge.search.search_lock import SearchLock
from vaeforge.search.space.objective import METRIC
from vaeforge.search.space.objective_form import objective_of

MOST_BEST, MOST_NEWEST = 100, 200  # rows for people: a terminal holds no more of them, and laying them out takes time
STATES = ("running", "completed", "early_stopped", "stopped", "failed")
REMEASURE = "`--repeats 3` measures it without"
ENDS = {"early_stopped": "no improvement within the patience of early stopping"}
FAILURES = {
    "nan": "the loss or a metric was not finite",
    "exploded": "a gradient was above optimizer.gradient_limit",
    "oom": "out of memory",
    "disk": "a checkpoint could not be written",
    "checkpoint": "a checkpoint could not be read",
    "crash": "its starts ended in crashes",
    "hang": "its worker groups made no steps and were ended",
    "lost": "its worker groups were lost, each before a new epoch was done",
}


def searches(project: Project) -> list[SearchRow]:
    """All searches of the project, the newest first."""
    place = project.artifacts / "searches"
    folders = [folder for folder in place.iterdir() if folder.is_dir()] if place.is_dir() else []
    return sorted(map(_search_row, folders), key=lambda row: (-(row.started or 0.0), row.name))


def _search_row(folder: Path) -> SearchRow:
    try:
        history = read_history(folder / "ledger.jsonl")
        problem = f"{history.damaged} line(s) of its ledger are damaged" if history.damaged else None
    except OSError as error:  # one unreadable ledger hides no other
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        return SearchRow(folder.name, None, "unreadable", problem, {}, None, None, None, size_of(folder))
    state, about = _standing_of(folder, history)
    return SearchRow(
        name=folder.name,
        family=history.header.family if history.header else None,
        state=state,
        about=about,
        trials=history.counts(),
        best=_best(history),
        started=history.header.time if history.header else None,
        newest=history.newest or None,
        size=size_of(folder),
    )


def _standing_of(folder: Path, history: SearchHistory) -> tuple[str, str]:
    """State of a search, and what is to be said about it."""
    runner = holder(folder)
    if runner is not None:
        stopping = any(request.trial is None for request in pending(folder))
        return "running", f"{runner}, asked to stop" if stopping else runner
    if history.header is None:
        return "empty", "nothing was started"
    if history.ended is not None:
        return "ended", history.ended.reason
    return "interrupted", history.signal or "its process ended without a word"


def _best(history: SearchHistory) -> BestTrial | None:
    objective = objective_of(history)
    found = winner_value(history, objective)
    if found is not None:
        return BestTrial(winner(history, objective).trial.number, found.value, found.sd, bool(found.optimistic))
    record = best_so_far(history, objective)
    return None if record is None else BestTrial(record.number, record.value, None, len(history.trials) > 1)


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`, hard links counted once; files that go away meanwhile do not count."""
    sizes: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = (Path(place) / name).lstat()
            except FileNotFoundError:
                continue
            sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())


def searches_table(rows: list[SearchRow], now: float | None = None) -> Table:
    """The list for people."""
    table = Table(title=f"{len(rows)} searches", title_justify="left", caption_justify="left")
    if any(row.best and row.best.optimistic for row in rows):
        table.caption = f"* of the run that chose the trial, optimistic; {REMEASURE}"
    for column in ("name", "family", "state", "trials", f"best {METRIC}", "started", "size"):
        table.add_column(column, overflow="fold")
    for row in rows:
        best = _best_words(row.best) if row.best else ""
        age = "" if row.started is None else f"{duration(max(0.0, (now or time.time()) - row.started))} ago"
        state = escape(f"{row.state}: {row.about}")
        table.add_row(escape(row.name), row.family or "", state, counted(row.trials), best, age, in_bytes(row.size))
    return table


def _best_words(best: BestTrial) -> str:
    return f"{spread(best.value, best.sd)}{'*' if best.optimistic else ''} (trial {best.trial})"


def trials(history: SearchHistory, state: str | None = None) -> list[TrialRow]:
    """One row a trial, by number: how and why it ended.

    Raises:
        ConfigError: if `state` is none of `STATES`.
    """
    if state is not None and state not in STATES:
        raise ConfigError(f"--state: got {state!r}, must be one of {', '.join(STATES)}{nearest(state, STATES)}")
    repeats = repeats_of(history)
    records = sorted(history.trials.values(), key=lambda record: record.number)
    return [_trial_row(one, repeats.get(one.number, [])) for one in records if state in (None, one.state or "running")]


def _trial_row(record: TrialRecord, repeats: list[TrialRecord]) -> TrialRow:
    inherited = [(epoch, one.donor) for epoch, one in sorted(record.decisions.items()) if one.action == "inherit"]
    return TrialRow(
        trial=record.number,
        state=record.state or "running",
        why=why(record),
        collapsed=record.collapsed,
        value=record.value,
        epoch=record.epoch,
        seconds=record.seconds,
        attempts=record.attempts,
        inherited=tuple(InheritedWeights(epoch, donor) for epoch, donor in inherited),
        repeat_of=record.repeat_of,
        repeats=tuple(run.number for run in repeats),
        group=record.group,
        params=record.params,
        lanes=record.lanes,
        beside=tuple(sorted(record.beside)),
        core_seconds=record.core_seconds,
        gpu_seconds=record.gpu_seconds,
    )


def why(record: TrialRecord) -> str:
    """Why a trial ended, in words."""
    if record.state is None:
        return f"has not ended: epoch {record.epoch}" if record.reports else "has not ended: waits for its first epoch"
    stops = [(epoch, decision) for epoch, decision in record.decisions.items() if decision.action == "stop"]
    if record.state == "stopped" and stops:
        epoch, decision = max(stops, key=lambda stop: stop[0])
        needed = "" if decision.needed is None else f", cut-off {decision.needed:.6g}"
        return f"stopped at {record.cause or f'rung {epoch}: {decision.value:.6g}{needed}'}"
    if record.state == "failed":
        return f"{record.cause}: {FAILURES.get(record.cause or '', 'see its crashes')}, epoch {record.epoch}"
    if record.state == "completed":
        return record.cause or f"ran all {record.epoch} epochs"
    return record.cause or ENDS.get(record.state, record.state)


def few_rows(rows: list[TrialRow], history: SearchHistory) -> list[TrialRow]:
    """At most `MOST_BEST + MOST_NEWEST` of them, by number: those that rank first, and the newest."""
    if len(rows) <= MOST_BEST + MOST_NEWEST:
        return rows
    ranks = {one.trial.number: rank for rank, one in enumerate(ranked(history, objective_of(history)).standings)}
    older = [row for row in rows[:-MOST_NEWEST] if row.value is not None]
    first = nsmallest(MOST_BEST, older, key=lambda row: (ranks.get(row.trial, len(ranks)), row.value or 0.0))
    best = {row.trial for row in first}
    return [row for row in rows[:-MOST_NEWEST] if row.trial in best] + rows[-MOST_NEWEST:]


def trials_table(rows: list[TrialRow], name: str, history: SearchHistory) -> Table:
    """The rows of `trials` for people, the best and the newest of many, and below them what is known of the best."""
    told, every = f"{len(rows)} trials of {name}", rows
    if (rows := few_rows(every, history)) is not every:
        told += f"; shown are the {MOST_BEST} best and the {MOST_NEWEST} newest, --json true lists all"
    table = Table(title=Text(told), title_justify="left", caption_justify="left")
    table.caption = escape(winner_words(history, objective_of(history))) or None
    stacked = any(row.lanes > 1 for row in rows)
    lanes = ["lanes"] if stacked else []
    for column in ("trial", "state", "why", METRIC, "epochs", "time", *lanes, "attempts", "parameters"):
        table.add_column(column, overflow="fold")
    for row in rows:
        notes = [f"repeats {row.repeat_of}"] if row.repeat_of is not None else []
        notes += [COLLAPSED] if row.collapsed else []
        notes += [f"weights of {one.donor} after epoch {one.epoch}" for one in row.inherited]
        because = "; ".join([row.why, *notes])
        cells = [number(row.value), str(row.epoch), duration(row.seconds), *([str(row.lanes)] if stacked else [])]
        cells.append(str(row.attempts))
        table.add_row(str(row.trial), row.state, escape(because), *cells, escape(describe(row.params)))
    return table


def trial(history: SearchHistory, wanted: int) -> TrialDetail:
    """Everything the ledger holds of one trial: its row, and decisions, crashes with traceback, epochs.

    Raises:
        SearchError: if there is no such trial.
    """
    record = history.trials.get(wanted)
    if record is None:
        there = f"0 to {max(history.trials)}" if history.trials else "none yet"
        raise SearchError(f"trial: got {wanted}, must be one of the search's trials ({there})")
    reports = [record.reports[epoch] for epoch in sorted(record.reports)]
    return TrialDetail(
        _trial_row(record, repeats_of(history).get(wanted, [])),
        decisions=tuple(
            DecisionRow(epoch, one.action, one.value, one.needed, one.why, one.donor, one.params)
            for epoch, one in sorted(record.decisions.items())
        ),
        crashes=tuple(CrashRow(crash.attempt, crash.cause, crash.traceback) for crash in record.crashes),
        epochs=tuple(EpochRow(one.epoch, one.value, one.seconds, one.metrics, one.beside or ()) for one in reports),
        best_epoch=record.best.epoch if record.best else None,
        best_metrics=record.best_metrics,
        checkpoint=_checkpoint(record),
    )


def _checkpoint(record: TrialRecord) -> str | None:
    """Where the trial's best checkpoint lies; none where it went because others were better."""
    file = record.best.file if record.best else None
    return file if file and ("://" in file or Path(file).exists()) else None


def trial_view(detail: TrialDetail) -> Group:
    """The detail of `trial` for people: what it is, what was decided, its epochs, its crashes."""
    crashes = [Text(f"\nattempt {one.attempt}: {one.cause}\n{one.traceback}") for one in detail.crashes]
    return Group(_facts(detail), _epochs(detail), *crashes)


def _facts(detail: TrialDetail) -> Table:
    row = detail.row
    table = Table(title=f"Trial {row.trial}: {row.state}", title_justify="left", show_header=False)
    table.add_row("time", duration(row.seconds))
    told = {
        "why": row.why,
        "flagged": COLLAPSED if row.collapsed else None,
        "group": row.group,
        "attempts": row.attempts,
        "cost": cost_words(row),
        "lanes": lanes_words(row),
        "repeat of": row.repeat_of,
        "repeats": list(row.repeats) or None,
        "best epoch": detail.best_epoch,
        "checkpoint": detail.checkpoint,
    }
    for name, value in told.items():
        if value is not None:
            table.add_row(name, escape(str(value)))
    for path, value in row.params.items():
        table.add_row(escape(path), escape(f"{value:.6g}" if isinstance(value, float) else str(value)))
    return table


def cost_words(row: TrialRow) -> str | None:
    """What a trial's training cost; none where an old ledger does not say."""
    found = [(row.core_seconds, "of a core"), (row.gpu_seconds, "of a GPU")]
    return ", ".join(f"{duration(seconds)} {of}" for seconds, of in found if seconds) or None


def lanes_words(row: TrialRow) -> str | None:
    """With which others a trial was trained as one model; none where it was alone."""
    if row.lanes == 1:
        return None
    others = ", ".join(map(str, row.beside))
    return f"one of up to {row.lanes}, beside trials {others}; time and cost are its share"


def _epochs(detail: TrialDetail) -> Table:
    table = Table(title="Epochs", title_justify="left")
    measured = {name for one in detail.epochs for name in one.metrics}
    names = [*(["beta"] if "beta" in measured else []), *sorted(name for name in measured if name.startswith("val/"))]
    stacked = any(one.beside for one in detail.epochs)
    for column in ("epoch", "value", "seconds", *(["beside"] if stacked else []), *names, "decision"):
        table.add_column(column)
    decided = {one.epoch: f"{one.action}: {one.why}" if one.why else one.action for one in detail.decisions}
    for one in detail.epochs:
        values = [number(one.metrics.get(name)) for name in names]
        beside = [" ".join(map(str, one.beside))] if stacked else []
        cells = (number(one.value), f"{one.seconds:.1f}", *beside, *values, escape(decided.get(one.epoch, "")))
        table.add_row(str(one.epoch), *cells)
    return table


def remove(project: Project, name: str) -> list[str]:
    """Remove a search's folder; returns what stays elsewhere, in words.

    Processes that an interrupted session left behind are ended first. Should this be interrupted, doing it again ends
    it: the ledger goes first, so that half a search is none.

    Raises:
        SearchError: if there is no such search, someone runs it, the name leads elsewhere, or it is another user's.
    """
    folder = folder_of(project, name)
    if folder.is_symlink():
        raise SearchError(f"{folder}: is a link to {folder.resolve()}; remove the link, and its target, yourself")
    left = _left(project, folder)
    lock = SearchLock(folder)
    try:
        lock.end_leftovers()
        (folder / "ledger.jsonl").unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        raise SearchError(f"{folder}: could not be removed: {error}; set its permissions right and try again") from None
    finally:
        lock.close()
    return left


def _left(project: Project, folder: Path) -> list[str]:
    """What the removal of a search does not touch."""
    header = next((event for event in read_events(folder / "ledger.jsonl") if isinstance(event, SearchHeader)), None)
    experiment, storage = (header.experiment_name, header.checkpoints) if header else (None, None)
    found = [f"MLflow keeps its runs (experiment {experiment}), and the registry its versions"] if experiment else []
    found += [f"{storage} keeps its checkpoints"] if storage else []
    for step in ("tune", "train"):
        manifest = project.step(step) / "manifest.json"
        if manifest.exists() and read_json(manifest, "remove it").get("search") == folder.name:
            found.append(f"{manifest} still names its winner, whose checkpoint is gone: the next {step} replaces it")
    return found
