"""Minutes of a search: what each worker group spent them on, and when it trained which trial."""

from collections.abc import Sequence

from vaeforge.report.figure import Absent, Axis, Cell, DataTable, Figure, Layer, Panel
from vaeforge.report.lane_rows import busy_seconds, first_rows, rows_of
from vaeforge.report.record import SearchRecord
from vaeforge.report.spans import GroupSession, Span, TimeSpent
from vaeforge.search.lane_words import trials_words

NAME, TITLE = "minutes", "Where the minutes went"
PHASES = ("start", "training", "around training", "idle")
LANES = "Bars one above the other in a group are its lanes: trials at once as one model; the pointer says which ones."


def minutes(record: SearchRecord) -> Figure | Absent:
    """Minutes by worker group and phase, and the timeline of trials."""
    if not record.time.groups:
        return Absent(NAME, TITLE, "no worker group was ever up")
    spent = by_group(record.time)
    rows: list[dict[str, Cell]] = [
        {"worker_group": group, "phase": phase, "minutes": value}
        for group, phases in spent.items()
        for phase, value in zip(PHASES, phases, strict=True)
    ]
    return Figure(
        NAME,
        TITLE,
        "Left, the minutes of each worker group: starting, inside training, around it (building, loading, saving, "
        "waiting for a decision), idle. Right, each bar is an attempt at a trial.",
        DataTable.of(rows),
        (_stacked(spent), _timeline(record.time)),
        _remarks(record),
    )


def by_group(time: TimeSpent) -> dict[int, tuple[float, float, float, float]]:
    """Minutes of each worker group in the order of `PHASES`.

    Start is from the session's first line to the group's registration; idle is what is left of its time.
    """
    found = {}
    present_by, spans_by = dict[int, list[GroupSession]](), dict[int, list[Span]]()
    for one in time.groups:
        present_by.setdefault(one.group, []).append(one)
    for span in time.spans:
        spans_by.setdefault(span.group, []).append(span)
    for group, there in sorted(present_by.items()):
        spans = spans_by.get(group, [])
        starts = sum(one.start - _session_of(time, one.start) for one in there)
        present = sum(one.end - one.start for one in there)
        busy = busy_seconds(spans)
        training = min(busy, sum(span.training for span in spans))  # of lanes these are shares, which add up
        found[group] = (starts / 60, training / 60, (busy - training) / 60, max(0.0, present - busy) / 60)
    return found


def _session_of(time: TimeSpent, moment: float) -> float:
    """When the session began that `moment` lies in."""
    return max((start for start, _ in time.sessions if start <= moment), default=moment)


def _stacked(spent: dict[int, tuple[float, float, float, float]]) -> Panel:
    layers, starts = [], [0.0] * len(spent)
    places = tuple(float(place) for place in range(len(spent)))
    for number, phase in enumerate(PHASES):
        values = tuple(phases[number] for phases in spent.values())
        notes = tuple(f"group {group}: {phase} {value:.2f} min" for group, value in zip(spent, values, strict=True))
        colour = {"training": 0, "around training": 4, "start": 3}.get(phase)
        layers.append(
            Layer("bars", values, places, phase, colour=colour, notes=notes, horizontal=True, start=tuple(starts))
        )
        starts = [start + value for start, value in zip(starts, values, strict=True)]
    return Panel(Axis("minutes"), _groups(list(spent)), tuple(layers))


def _groups(groups: Sequence[int]) -> Axis:
    return Axis("worker group", ticks=tuple((float(place), str(group)) for place, group in enumerate(groups)))


def _timeline(time: TimeSpent) -> Panel:
    groups = sorted({one.group for one in time.groups})
    rows = rows_of(time.spans)
    places = first_rows(groups, rows)
    ticks = tuple((first + (count - 1) / 2, str(group)) for group, (first, count) in places.items())
    bars = [(span, places[span.group][0] + rows[span]) for span in time.spans]
    numbers = _numbered(bars)
    zero = time.sessions[0][0]
    layers = tuple(_bars([one for one in bars if numbers[one[0]] % 2 == odd], zero, odd) for odd in (0, 1))
    axis = Axis("worker group", ticks=ticks)
    return Panel(Axis("minutes since the search began"), axis, tuple(one for one in layers if one.x))


def _numbered(bars: Sequence[tuple[Span, float]]) -> dict[Span, int]:
    """Each bar's number in its row: neighbours have different colours, so that it is seen where one ends."""
    found, seen = dict[Span, int](), dict[float, int]()
    for span, place in bars:
        found[span] = seen[place] = seen.get(place, -1) + 1
    return found


def _bars(bars: Sequence[tuple[Span, float]], zero: float, odd: int) -> Layer:
    spans = [span for span, _ in bars]
    return Layer(
        "bars",
        tuple((span.end - span.start) / 60 for span in spans),
        tuple(place for _, place in bars),
        colour=0 if odd else 5,
        notes=tuple(_note(span) for span in spans),
        horizontal=True,
        start=tuple((span.start - zero) / 60 for span in spans),
    )


def _note(span: Span) -> str:
    lanes = f", beside trials {trials_words(sorted(span.beside), 12)}" if span.beside else ""
    return f"trial {span.trial}, attempt {span.attempt}: {span.epochs} epochs{lanes}"


def _remarks(record: SearchRecord) -> tuple[str, ...]:
    history = record.history
    said = [f"Sessions together {history.clock_seconds / 60:.1f} min, {history.core_seconds / 3600:.3g} core-hours"]
    said += [f"{history.gpu_seconds / 3600:.3g} GPU-hours"] if history.gpu_seconds else []
    sampler = record.timings.get("sampler_seconds")
    said += [f"of the newest session the sampler took {sampler:.1f} s"] if sampler is not None else []
    lanes = any(span.beside for span in record.time.spans)
    return (", ".join(said) + ".", *([LANES] if lanes else []))
