"""Commands on data sets: which ones there are, which one is used, and the removal of one."""

import json as json_
import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from vaeforge.cli.option_types import Commands
from vaeforge.cli.options import Family, Json, console

app = Commands(add_completion=False, no_args_is_help=True, help="List data sets, choose one, remove one.")
DataSet = Annotated[str, typer.Argument(metavar="NAME", help="a data set, or `sample`")]


@app.command(name="list")
def list_(family: Family = None, json: Json = False) -> None:
    """List the data sets: one's own and samples, their size, whether DVC has them, which one is used."""
    from vaeforge.importing.data_set_changes import rows
    from vaeforge.paths import Project
    from vaeforge.records import to_json

    project = Project()
    data = project.root / "data"
    there = sorted(path.name for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    found = [row for one in ([family] if family else there) for row in rows(project, one)]
    if json:
        for row in found:
            print(json_.dumps(to_json(row), ensure_ascii=False), file=sys.stdout)
        return
    table = Table("family", "data set", "kind", "files", "megabytes", "in data.dvc", "used", title="data sets")
    words = {True: "yes", False: "no", None: "unknown"}
    for row in found:
        size = f"{row.bytes / 1e6:.1f}"
        table.add_row(row.family, escape(row.name), row.kind, str(row.files), size, words[row.tracked], words[row.used])
    console().print(table)


@app.command()
def use(name: DataSet, family: Family = None) -> None:
    """Let `prepare` and searches use this data set; one that only DVC has is brought."""
    from vaeforge.importing.data_set_changes import use as use_data_set
    from vaeforge.paths import Project

    project = Project()
    console().print(use_data_set(project, _family(family), name), highlight=False, markup=False, soft_wrap=True)


@app.command()
def drop(name: DataSet, family: Family = None) -> None:
    """Remove a data set from the disk and from data.dvc."""
    from vaeforge.importing.data_set_changes import drop as drop_data_set
    from vaeforge.paths import Project

    project = Project()
    console().print(drop_data_set(project, _family(family), name), highlight=False, markup=False, soft_wrap=True)


def _family(given: str | None) -> str:
    from vaeforge.api import requests
    from vaeforge.paths import Project

    return requests.resolve_config(Project(), given).experiment.family
