"""A trace and a reproduction as a person reads them."""

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from vaeforge.registry.reproduce import Reproduction, Row
from vaeforge.registry.trace import Link, State

COLOURS: dict[State, str] = {
    "verified": "green",
    "at hand": "cyan",
    "missing": "yellow",
    "unknown": "yellow",
    "differs": "bold red",
}


def trace_tree(link: Link) -> Tree:
    """The chain, each link with its state and what was looked at."""
    tree = Tree(_label(link))
    for origin in link.origins:
        tree.children.append(trace_tree(origin))
    return tree


def _label(link: Link) -> Text:
    return Text.assemble(
        (link.kind, "bold"), f" {link.name or 'not recorded'}  ", (link.state, COLOURS[link.state]), f": {link.detail}"
    )


def reproduction_table(reproduction: Reproduction) -> Table:
    """Metric, recorded, found, difference, allowed."""
    table = Table("metric", "recorded", "found", "difference", "allowed", title="epoch of the model, trained again")
    for row in reproduction.rows:
        table.add_row(*_cells(row), style=None if row.holds else "bold red")
    return table


def _cells(row: Row) -> tuple[str, ...]:
    numbers = (row.recorded, row.found)
    difference = "none" if row.difference is None else f"{row.difference:.3g}"
    return (row.metric, *("none" if n is None else f"{n:.10g}" for n in numbers), difference, f"{row.allowed:.3g}")
