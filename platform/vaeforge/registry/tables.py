"""Tables and trees for people: models, versions, verdicts, traces and reproductions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from vaeforge.registry.verdict import Verdict

if TYPE_CHECKING:  # they bring torch, which lists of models need not wait for
    from vaeforge.registry.reproduce import MetricComparison, Reproduction
    from vaeforge.registry.trace import State, TraceLink

Row = dict[str, Any]
COLOURS: "dict[State, str]" = {
    "verified": "green",
    "at hand": "cyan",
    "missing": "yellow",
    "unknown": "yellow",
    "differs": "bold red",
}


def models_table(rows: Sequence[Row]) -> Table:
    """Every model in a line."""
    return _table("models", ("model", "versions", "champion", "challenger"), rows)


def versions_table(rows: Sequence[Row], model: str) -> Table:
    """Every version in a line; `test-set use` n: the n-th model measured on this test set."""
    table = Table(
        "version", "role", "created", "val/nelbo", "test nll", "active", "test-set use", "data", "verdict", title=model
    )
    for row in rows:
        role = ", ".join([*row["aliases"], *(["archived"] if row["archived"] else [])])
        data = (row["data_identity"] or "")[:8]
        numbers = [_text(row[name]) for name in ("val_nelbo", "test_nll", "active_units", "test_look")]
        verdict = (row["verdict"] or "").partition(":")[0]
        table.add_row(row["version"], role, row["created"], *numbers, data, escape(verdict))
    return table


def version_view(row: Row) -> RenderableType:
    """One version: what it says of itself, its tags, and what was done with it."""
    tags = Table("tag", "value", title=f"{row['model']} version {row['version']}")
    for key, value in row["tags"].items():
        tags.add_row(escape(key), escape(value))
    trail = _table("trail", ("number", "when", "who", "action", "state", "before", "after", "why"), row["audit"])
    return Group(tags, escape(row["description"] or ""), trail)


def difference_table(rows: Sequence[Row], first: str, second: str) -> Table:
    """Where two versions differ."""
    table = Table("part", "name", f"version {first}", f"version {second}")
    for row in rows:
        table.add_row(row["part"], escape(row["name"]), *(escape(_text(row[side])) for side in ("first", "second")))
    return table


def verdict_table(verdict: Verdict) -> Table:
    """Every rule, failed ones first, then what does not apply."""
    table = Table("rule", "found", "needed", "")
    for finding in (*verdict.failed, *verdict.passed):
        outcome = "[green]passed[/]" if finding.passed else "[red]failed[/]"
        table.add_row(escape(finding.rule), escape(finding.value), escape(finding.needed), outcome)
    for remark in verdict.skipped:
        rule, _, why = remark.partition(": ")
        table.add_row(escape(rule), escape(why), "", "[dim]skipped[/]")
    return table


def _table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(escape(_text(row[column])) for column in columns))
    return table


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def trace_tree(link: "TraceLink") -> Tree:
    """The chain, each link with its state and what was looked at."""
    tree = Tree(_link_label(link))
    for origin in link.origins:
        tree.children.append(trace_tree(origin))
    return tree


def _link_label(link: "TraceLink") -> Text:
    return Text.assemble(
        (link.kind, "bold"), f" {link.name or 'not recorded'}  ", (link.state, COLOURS[link.state]), f": {link.detail}"
    )


def reproduction_table(reproduction: "Reproduction") -> Table:
    """Metric, recorded, found, difference, allowed."""
    table = Table("metric", "recorded", "found", "difference", "allowed", title="epoch of the model, trained again")
    for row in reproduction.rows:
        table.add_row(*_metric_cells(row), style=None if row.holds else "bold red")
    return table


def _metric_cells(row: "MetricComparison") -> tuple[str, ...]:
    numbers = (row.recorded, row.found)
    difference = "none" if row.difference is None else f"{row.difference:.3g}"
    return (row.metric, *("none" if n is None else f"{n:.10g}" for n in numbers), difference, f"{row.allowed:.3g}")
