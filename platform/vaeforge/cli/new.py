"""Commands that write the beginning of a plug-in of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from vaeforge.cli.option_types import TEXT, Commands
from vaeforge.cli.options import Family, console
from vaeforge.remarks import say

app = Commands(add_completion=False, no_args_is_help=True, help="Begin a family, a sampler or a space of your own.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="what it is to be called")]


@app.command()
def family(
    name: Name,
    like: Annotated[str, TEXT.option("endoscopy (images) or fmri (series)", default="endoscopy")] = "endoscopy",
) -> None:
    """Write a package with a family that trains as it is."""
    from vaeforge import scaffold
    from vaeforge_models.families import families

    _tell(scaffold.new_family(Path(), name, like, families()), f"vaeforge new space {name} --family {name}")


@app.command()
def sampler(name: Name) -> None:
    """Write a package with a sampler that proposes as it is."""
    from vaeforge import scaffold
    from vaeforge.search.strategy_registry import samplers

    _tell(scaffold.new_sampler(Path(), name, samplers()), f"vaeforge tune --search {name}")


@app.command()
def space(name: Name, family: Family = None) -> None:
    """Write a space file into tune_spaces/."""
    from vaeforge import scaffold
    from vaeforge.api import requests
    from vaeforge.paths import Project

    project = Project()
    of = family or requests.resolve_config(project, of_data_set=False).experiment.family
    (path,) = scaffold.new_space(project.root, name, of)
    out = console()
    say(out, f"wrote {path.relative_to(project.root)}")
    say(out, f"next: vaeforge tune --family {of} --space tune_spaces/{name}.yaml")


def _tell(written: list[Path], then: str) -> None:
    out = console()
    say(out, f"wrote {', '.join(map(str, written))}")
    say(out, f"next: pip install -e {written[0].parent}; {then}")
