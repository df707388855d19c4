"""Command that looks at everything a search stands on."""

import typer

from vaeforge.cli.option_types import Commands
from vaeforge.cli.options import SEARCH, Json, console

app = Commands(add_completion=False)


@app.command(rich_help_panel=SEARCH)
def doctor(json: Json = False) -> None:
    """Check machine, environment, project and services; say what to do, and exit with 2 if a search would fail."""
    from vaeforge.doctor import report
    from vaeforge.paths import Project

    findings = report.examine(Project())
    if json:
        print(*report.as_json(findings), sep="\n")
    else:
        report.show(findings, console())
    raise typer.Exit(report.exit_code(findings))
