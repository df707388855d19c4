"""Generator of the file `MLproject` from the command line: `python -m vaeforge.cli.mlproject > MLproject`."""

import typer

from vaeforge.cli.app import app
from vaeforge.cli.entry_points import in_a_clone


def mlproject() -> str:
    """The content of `MLproject`."""
    return in_a_clone(typer.main.get_group(app).commands)


if __name__ == "__main__":
    print(mlproject(), end="")
