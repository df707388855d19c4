"""Tables and trees for people: models, versions, verdicts, traces and reproductions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from vaeforge.registry.error_rates import USED_UP
from vaeforge.registry.verdict import Verdict

if TYPE_CHECKING:  # some bring torch, which lists of models need not wait for
    from vaeforge.registry.listing import ModelSummary, VersionDetail, VersionDifference, VersionSummary
    from vaeforge.registry.reproduce import MetricComparison, Reproduction
    from vaeforge.registry.trace_link import State, TraceLink

COLOURS: "dict[State, str]" = {
    "verified": "green",
    "at hand": "cyan",
    "missing": "yellow",
    "unknown": "yellow",
    "differs": "bold red",
}


def models_table(models: "Sequence[ModelSummary]") -> Table:
    """Every model in a line."""
    table = Table("model", "data set", "versions", "champion", "challenger", title="models")
    for one in models:
        champion = f"{one.champion or 'none'} ({one.remark})" if one.remark else one.champion
        cells = (one.model, one.data_set, one.versions, champion, one.challenger)
        table.add_row(*(escape(_text(value)) for value in cells))
    return table


def versions_table(versions: "Sequence[VersionSummary]", model: str) -> Table:
    """Every version in a line; `test-set use` n: the n-th model measured on this test set, and whether the set is used
    up: an equally good version would more likely be refused than pass.
    """
    heads = ("version", "role", "created", "sample", "val/nelbo", "test nll", "AUROC", "active", "test-set use", "data")
    table = Table(*heads, "verdict", title=model)
    if len({(one.data_identity, one.sample) for one in versions}) > 1:
        table.caption = "likelihoods of other data or other sizes of samples are not comparable"
        table.caption_justify = "left"
    for one in versions:
        role = ", ".join([*one.aliases, *(["archived"] if one.archived else [])])
        found = (one.sample, one.val_nelbo, one.test_nll, one.test_auroc, one.active_units)
        numbers = [*map(_text, found), _test_set_use(one)]
        verdict = (one.verdict or "").partition(":")[0]
        table.add_row(one.version, role, one.created, *numbers, escape(_data_of(one)), escape(verdict))
    return table


def _data_of(version: "VersionSummary") -> str:
    """Its data set, and the start of the data identity, which depends on the settings of `prepare`, too."""
    return " ".join(filter(None, (version.data_set, (version.data_identity or "")[:8])))


def _test_set_use(version: "VersionSummary") -> str:
    used_up = version.test_power is not None and version.test_power < USED_UP
    return _text(version.test_look) + (", used up" if used_up else "")


def version_view(detail: "VersionDetail") -> RenderableType:
    """One version: what it says of itself, its tags, and what was done with it."""
    tags = Table("tag", "value", title=f"{detail.summary.model} version {detail.summary.version}")
    for key, value in detail.tags.items():
        tags.add_row(escape(key), escape(value))
    trail = Table("number", "when", "who", "action", "state", "before", "after", "why", title="trail")
    for entry in detail.audit:
        cells = (entry.number, entry.when, entry.who, entry.action, entry.state, entry.before, entry.after, entry.why)
        trail.add_row(*(escape(_text(cell)) for cell in cells))
    return Group(tags, escape(detail.description or ""), trail)


def difference_table(differences: "Sequence[VersionDifference]", first: str, second: str) -> Table:
    """Where two versions differ."""
    table = Table("part", "name", f"version {first}", f"version {second}")
    for one in differences:
        table.add_row(one.part, escape(one.name), escape(_text(one.first)), escape(_text(one.second)))
    return table


def verdict_table(verdict: Verdict) -> Table:
    """Every rule, failed ones first, then what does not apply."""
    table = Table("rule", "found", "needed", "")
    for outcome in (*verdict.failed, *verdict.passed):
        shown = "[green]passed[/]" if outcome.passed else "[red]failed[/]"
        table.add_row(escape(outcome.rule), escape(outcome.value), escape(outcome.needed), shown)
        if outcome.rates is not None:
            table.add_row("", escape(str(outcome.rates)), "", "")
    if verdict.used_up:
        table.add_row("test set", escape(verdict.used_up), "", "[yellow]warning[/]")
    for remark in verdict.skipped:
        rule, _, why = remark.partition(": ")
        table.add_row(escape(rule), escape(why), "", "[dim]skipped[/]")
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
