"""Progress of a search as a person sees it: a live table in a terminal, plain lines elsewhere, a ranking at the end.

Modes: `live` redraws a table, on a terminal or in a notebook's cell; `plain` prints a line when something has changed,
every 10 s at most, and once a minute otherwise; `quiet` prints warnings and the end; `json` prints the events of
`json_output.py`, one a line. In mode `json` the console is the standard output, so that whatever else is printed
belongs on another one.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.notebook import NotebookPlace
from vaeforge.progress_bar import HOUR, duration
from vaeforge.search import json_output
from vaeforge.search.dispatch.snapshot import BestSoFar, Snapshot, TrialStatus, status_of
from vaeforge.search.lane_words import parallel_words, place_words
from vaeforge.search.results.pareto import bounds
from vaeforge.search.results.ranking import RankedTrial, Ranking, ranked
from vaeforge.search.results.winner_value import run_mean, winner_value
from vaeforge.search.space.objective import METRIC, SINGLE, Objective

Mode = Literal["live", "plain", "quiet", "json"]
OPEN = ("running", "waiting")
COLLAPSED = "posterior collapse: no dimension of the latent space is active"
SHOWN = 12
WIDE = 110  # columns in which the ranking has room for a column of parameters
LINE_SECONDS = 10.0
SILENT_SECONDS = 60.0


def mode_for(console: Console, quiet: bool = False, json: bool = False) -> Mode:
    """The mode that the command line's options and the console ask for; `json` goes before `quiet`."""
    if json or quiet:
        return "json" if json else "quiet"
    return "live" if console.is_terminal or console.is_jupyter else "plain"


class ProgressView:
    """Shows snapshots of the dispatcher; `total` trials of `epochs` epochs each.

    Args:
        mode: `live`, and none, is `plain` where the console is neither a terminal nor a notebook's.
        earlier: numbers of trials that had ended before this session: no event tells of them again.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        console: Console,
        name: str,
        total: int,
        epochs: int,
        mode: Mode | None = None,
        objective: Objective = SINGLE,
        earlier: Collection[int] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        self.console, self.name, self.total, self.epochs = console, name, total, epochs
        self.mode: Mode = mode if mode in ("plain", "quiet", "json") else mode_for(console)
        self.objective = objective
        self._told, self._clock, self._opened = set(earlier), clock, clock()
        self._pace: tuple[float, int] | None = None
        self._printed, self._last = -math.inf, ""
        self._best: BestSoFar | None = None
        self._live = _live(console) if self.mode == "live" else None

    def __enter__(self) -> "ProgressView":
        if self._live:
            self._live.start()
        if self.mode == "json":
            self._say(json_output.start(self.name, self.total, self.epochs, self.objective))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal to others; from any thread."""
        if self._live:
            self._live.stop()

    def update(self, snapshot: Snapshot, note: str | None = None) -> None:
        """Show how things stand, and in words what is to be known beside that."""
        if self._pace is None and any(trial.state == "running" for trial in snapshot.trials):
            self._pace = self._clock(), snapshot.ended
        if self._live:
            self._live.update(self._table(snapshot, note))
        elif self.mode == "json":
            self._tell(snapshot)
        elif self.mode == "plain":
            self._line(snapshot, note)

    def warn(self, text: str) -> None:
        """What a person should know in any mode."""
        if self.mode == "json":
            self._say(json_output.warning(text))
        else:
            self.console.print(f"[yellow]warning[/]: {escape(text)}", highlight=False, soft_wrap=True)

    def end(self, history: SearchHistory, reason: str, lasted: float | None = None) -> None:
        """How the session ended, in any mode; events that no snapshot showed come before.

        Args:
            history: of all sessions.
            reason: why it ended.
            lasted: seconds; none: since this view was opened.
        """
        seconds = self._clock() - self._opened if lasted is None else lasted
        if self.mode == "json":
            for record in history.trials.values():
                self._tell_ended(status_of(record))
            self._say(json_output.end(history, self.objective, reason, seconds))
            return
        told = winner_words(history, self.objective)
        best = f"; {told}" if told else ""
        done = f"finished in {duration(seconds)}: all {len(history.trials)} trials done"
        how = done if reason == "trials" else f"ended after {duration(seconds)}: {reason}"
        text = f"Search {self.name!r} {how} ({counted(history.counts())}){best}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    # standard output in mode json

    def _say(self, line: str) -> None:
        print(line, file=self.console.file, flush=True)

    def _tell(self, snapshot: Snapshot) -> None:
        for trial in snapshot.trials:
            self._tell_ended(trial)
        if snapshot.best is not None and snapshot.best != self._best:
            self._best = snapshot.best
            self._say(json_output.best(snapshot.best))

    def _tell_ended(self, trial: TrialStatus) -> None:
        if trial.state not in OPEN and trial.trial not in self._told:
            self._told.add(trial.trial)
            self._say(json_output.trial(trial))

    # for people

    def _line(self, snapshot: Snapshot, note: str | None) -> None:
        """Print a line where something has changed, not too often."""
        state = f"{snapshot.ended} {snapshot.counts} {snapshot.best} {note}"
        patience = LINE_SECONDS if state != self._last else SILENT_SECONDS
        if self._clock() - self._printed >= patience:
            self._printed, self._last = self._clock(), state
            text = ", ".join(self._summary(snapshot, note))
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _summary(self, snapshot: Snapshot, note: str | None) -> list[str]:
        """Progress; best so far; pace; worker groups; budget."""
        elapsed = duration(self._clock() - self._opened)
        parts = [f"{self.name}: {snapshot.ended}/{self.total} trials ended ({counted(snapshot.counts)})"]
        best = snapshot.best
        if best is not None:
            parts.append(f"best {METRIC} {number(best.value)} (trial {best.trial})")
            if not self.objective.single:  # the lowest value of one goal is not what will be chosen
                parts.append(f"chosen at the end: {self.objective.choose.describe()}")
        parts += [elapsed, *self._rate(snapshot)]
        parts.append(parallel_words(snapshot))
        parts += [f"budget: {snapshot.budget}"] if snapshot.budget else []
        return parts + ([note] if note else [])

    def _rate(self, snapshot: Snapshot) -> list[str]:
        """Trials an hour since the first one of this session was started, and what is left at this pace."""
        if self._pace is None:
            return []
        since, before = self._pace
        ended, seconds = snapshot.ended - before, self._clock() - since
        if ended <= 0 or seconds <= 0:
            return []
        left = max(0, self.total - snapshot.ended) * seconds / ended
        return [f"{ended / seconds * HOUR:.3g} trials/h", f"about {duration(left)} left"]

    def _table(self, snapshot: Snapshot, note: str | None) -> Table:
        first, *others = self._summary(snapshot, note)
        table = Table(title=Text(f"{first}\n{', '.join(others)}"), title_justify="left")
        for column in ("trial", "state", "epoch", METRIC, "host", "parameters"):
            table.add_column(column, no_wrap=column != "parameters")  # this one alone gives way to a narrow terminal
        best = snapshot.best.trial if snapshot.best else None
        order = sorted(snapshot.trials, key=lambda t: (t.trial != best, t.state not in OPEN, -t.trial))
        for trial in order[:SHOWN]:
            table.add_row(*self._cells(trial, best))
        return table

    def _cells(self, trial: TrialStatus, best: int | None) -> tuple[str | Text, ...]:
        """One trial in one line, with the epoch that it has reached."""
        mark = " (best)" if trial.trial == best else ""
        again = "" if trial.repeat_of is None else f" (repeats {trial.repeat_of})"
        return (
            f"{trial.trial}{again}{mark}",
            trial.state,
            f"{trial.epoch}/{self.epochs}",
            number(trial.value),
            place_words(trial),
            Text(describe(trial.params), no_wrap=True, overflow="ellipsis"),
        )


def _live(console: Console) -> Live | NotebookPlace:
    """What draws the table again: on a terminal, or in the output of a notebook's cell."""
    return NotebookPlace() if console.is_jupyter else Live(console=console, refresh_per_second=2)


def ranking(history: SearchHistory, objective: Objective, limit: int = 10) -> Table:
    """The best trials, best first; with several goals the whole front."""
    found = ranked(history, objective)
    columns = [METRIC] if objective.single else [goal.metric for goal in objective.goals]
    others = [name for name in ("val/rate", "val/active_units") if name not in columns]
    table = Table(title=_title(objective), caption=_caption(found, history, objective), title_justify="left")
    table.caption_justify = "left"
    heads = ["rank", "trial", *columns, *(name.removeprefix("val/") for name in others), "runs", "epochs", "state"]
    for head in [*heads, "parameters"]:
        table.add_column(head, overflow="fold")
    shown = max(limit, sum(standing.on_front for standing in found.standings))
    for place, standing in enumerate(found.standings[:shown], start=1):
        mark = "chosen" if standing.chosen and not objective.single else "front" if standing.on_front else str(place)
        measured = [spread(standing.value, standing.sd)] if objective.single else _measured(standing, columns)
        trial, failed = standing.trial, f" + {len(standing.failed)} failed" if standing.failed else ""
        row = [mark, str(trial.number), *measured, *_measured(standing, others), f"{len(standing.runs)}{failed}"]
        table.add_row(*row, str(trial.epoch), _state(trial), escape(describe(trial.params)))
    return table


def ranking_within(width: int, history: SearchHistory, objective: Objective) -> RenderableType:
    """The ranking on a terminal of so many columns; a narrow one gets the parameters in a table of their own below."""
    table = ranking(history, objective)
    if width >= WIDE:
        return table
    *others, parameters = table.columns
    numbers = Table(title=table.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in others:
        numbers.add_column(column.header, no_wrap=column.header != "state", overflow="fold")
    for cells in zip(*(column.cells for column in others), strict=True):
        numbers.add_row(*cells)
    below = Table("trial", "parameters", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for trial, told in zip(others[1].cells, parameters.cells, strict=True):
        below.add_row(trial, told)
    notes = [] if table.caption is None else [table.caption]
    return Group(numbers, below, *notes)


def _state(trial: TrialRecord) -> str:
    """How the trial ended, and what is wrong with its model."""
    flags = ["diverged"] * trial.diverged + ["collapsed"] * trial.collapsed
    return ", ".join([trial.state or "running", *flags])


def _measured(standing: RankedTrial, names: list[str]) -> list[str]:
    return [_metric(name, standing.metrics.get(name), standing.spread.get(name)) for name in names]


def _metric(name: str, value: float | None, sd: float | None) -> str:
    """A count is shown as one."""
    return f"{value:.0f}" if name == "val/active_units" and value is not None and sd is None else spread(value, sd)


def _title(objective: Objective) -> str:
    if not objective.single:
        goals = ", ".join(f"{goal.metric} ({goal.mode})" for goal in objective.goals)
        return f"Front of {goals}; chosen: {objective.choose.describe()}"
    first = f"; those with {bounds(objective.floors, 'max')} first" if objective.floors else ""
    return f"Best trials by {METRIC} (nats per sample, lower is better{first})"


def _caption(found: Ranking, history: SearchHistory, objective: Objective) -> str | None:
    """What the order does not show."""
    notes = [note for note in (found.problem, found.note) if note]
    if any(standing.repeated for standing in found.standings):
        notes.append("repeated trials come first, by their mean ± standard deviation over all runs")
    notes += [told] if (told := winner_words(history, objective)) else []
    notes += [
        f"trial {standing.trial.number}: repeats {', '.join(map(str, standing.failed))} failed or were stopped"
        for standing in found.standings
        if standing.failed
    ]
    notes += [f"trial {one.trial.number}: {one.trial.cause}" for one in found.standings if one.trial.diverged]
    if gone := [one.trial.number for one in found.standings if one.trial.collapsed]:
        notes.append(f"trial {', '.join(map(str, sorted(gone)))}: {COLLAPSED}")
    stopped = history.counts().get("stopped", 0)
    if stopped and not objective.single:
        notes.append(f"{stopped} trials were stopped early; they are in the ledger and not on the front")
    return escape("\n".join(notes)) or None


def winner_words(history: SearchHistory, objective: Objective) -> str:
    """The chosen trial with its value and what runs that is of; empty where none is chosen."""
    found = winner_value(history, objective)
    if found is None:
        return ""
    trial = next(standing.trial.number for standing in ranked(history, objective).standings if standing.chosen)
    names = [METRIC] if objective.single else [goal.metric for goal in objective.goals]
    measured = [f"{name} {_metric(name, *run_mean(history, found.runs, name))}" for name in names]
    return f"best trial: {trial}, {', '.join(measured)} ({found.basis})"


def causes(history: SearchHistory) -> Table:
    """Why trials failed."""
    table = Table(title="Failed trials", title_justify="left")
    for column in ("trial", "cause", "attempts", "parameters"):
        table.add_column(column, overflow="fold")
    for trial in history.trials.values():
        if trial.state == "failed":
            table.add_row(
                str(trial.number), escape(trial.cause or ""), str(trial.attempts), escape(describe(trial.params))
            )
    return table


def counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none yet"


def number(value: float | None) -> str:
    """Two decimals; four digits for what is smaller than 1."""
    return "" if value is None else f"{value:.2f}" if abs(value) >= 1 else f"{value:.4g}"


def spread(value: float | None, sd: float | None) -> str:
    """Mean ± sample standard deviation; the value alone where it was measured once."""
    return number(value) if sd is None else f"{number(value)} ± {number(sd)}"


def in_bytes(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} B"


def describe(params: Mapping[str, Any]) -> str:
    """Flat parameters in one line."""
    shown = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in params.values())
    return " ".join(f"{path.split('.', 1)[-1]}={value}" for path, value in zip(params, shown, strict=True))
