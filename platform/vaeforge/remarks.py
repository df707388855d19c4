"""Lines, notes, warnings and errors on a terminal; their texts may hold names of the user's, which are no markup."""

from rich.console import Console
from rich.markup import escape


def say(console: Console, text: str) -> None:
    """Print one line as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def tell(console: Console, *remarks: str) -> None:
    """Print the remarks that are not empty, as notes."""
    for remark in filter(None, remarks):
        _print(console, "note", remark)


def warn(console: Console, text: str) -> None:
    """Print one warning."""
    _print(console, "warning", text)


def refuse(problem: str) -> None:
    """Print on standard error why a command ends without what it was asked for."""
    Console(stderr=True).print(f"[bold red]error[/]: {escape(problem)}", highlight=False, soft_wrap=True)


def _print(console: Console, kind: str, text: str) -> None:
    console.print(f"[yellow]{kind}[/]: {escape(text)}", highlight=False, soft_wrap=True)
