"""Command that makes a project folder for data of one's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.markup import escape

from vaeforge.cli.option_types import TEXT, Commands
from vaeforge.cli.options import DATA, console

app = Commands(add_completion=False)


@app.command(rich_help_panel=DATA)
def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="the folder, which is made where it is missing")],
    family: Annotated[str, TEXT.option("kind of model", default="endoscopy")] = "endoscopy",
) -> None:
    """Make a project folder for your own data, with settings, spaces, git and DVC."""
    from vaeforge import new_project
    from vaeforge.cli.entry_points import outside
    from vaeforge.config.experiment import family_named

    notes = new_project.create(folder, family_named(family).name, outside(_commands(context), family))
    out = console()
    for note in notes:
        out.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    out.print(f"{escape(str(folder))} is a project for {family} models. Next, in it:", highlight=False, soft_wrap=True)
    for command in ("inspect SOURCE", "import SOURCE", "prepare", "tune"):
        out.print(f"  vaeforge {command}", highlight=False, soft_wrap=True)


def _commands(context: typer.Context) -> Mapping[str, Any]:
    """All commands of the command line that this one is of, by name."""
    found: Mapping[str, Any] = cast(Any, context.find_root().command).commands
    return found
