"""Rows of the timeline of worker groups: one for each group, or one for each trial that a group trained at once."""

from collections.abc import Iterable, Mapping, Sequence

from vaeforge.report.spans import Span

GAP = 0.5  # between groups that have several rows


def rows_of(spans: Sequence[Span]) -> dict[Span, int]:
    """The row within its group of each span, in the first one that is free: none lies on another."""
    found, free = dict[Span, int](), dict[int, list[float]]()
    for span in sorted(spans, key=lambda one: (one.start, one.trial)):
        ends = free.setdefault(span.group, [])
        row = next((number for number, end in enumerate(ends) if end <= span.start), len(ends))
        ends[row : row + 1] = [span.end]
        found[span] = row
    return found


def first_rows(groups: Sequence[int], rows: Mapping[Span, int]) -> dict[int, tuple[float, int]]:
    """Where the first row of each group lies, and how many it has; groups of one row lie at 0, 1, 2, …"""
    counts = dict.fromkeys(groups, 1)
    for span, row in rows.items():
        counts[span.group] = max(counts[span.group], row + 1)
    gap = GAP if max(counts.values(), default=1) > 1 else 0.0
    found, place = dict[int, tuple[float, int]](), 0.0
    for group, count in counts.items():
        found[group] = (place, count)
        place += count + gap
    return found


def busy_seconds(spans: Iterable[Span]) -> float:
    """Seconds in which at least one of the spans was going on."""
    total, until = 0.0, float("-inf")
    for span in sorted(spans, key=lambda one: one.start):
        total += max(0.0, span.end - max(span.start, until))
        until = max(until, span.end)
    return total
