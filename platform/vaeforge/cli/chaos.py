"""Command that tries the platform's reliability: real faults against a real search."""

from typing import Annotated

import typer

from vaeforge.cli.option_types import INTEGER, NUMBER, POSITIVE, WORDS, Commands, OptionalInt, Words
from vaeforge.cli.options import SEARCH, Family, Json, console

app = Commands(add_completion=False)


@app.command(rich_help_panel=SEARCH)
def chaos(
    family: Family = None,
    minutes: Annotated[float, NUMBER.option("for how long faults are injected", default="10")] = 10.0,
    seed: Annotated[int, INTEGER.option("of what is injected when", default="0")] = 0,
    injections: Annotated[OptionalInt, POSITIVE.option("end after so many", default="when the time is up")] = None,
    faults: Annotated[Words, WORDS.option("only these, separated by commas", default="all")] = (),
    json: Json = False,
) -> None:
    """Kill, stop and starve a search at random, resume it, and check that nothing was lost; exits 1 where it was."""
    from json import dumps
    from time import strftime

    from vaeforge.api import requests
    from vaeforge.chaos import report
    from vaeforge.chaos.run import ChaosRequest, run_chaos
    from vaeforge.data.prepare import pull
    from vaeforge.paths import Project
    from vaeforge.remarks import say, tell

    project, out = Project(), console(json)
    config = requests.resolve_config(project, family)
    tell(out, pull(project, config.experiment.family))
    request = ChaosRequest(config.experiment.family, minutes, seed, injections, faults)
    folder = project.artifacts / "chaos" / f"{strftime('%Y%m%d-%H%M%S')}-seed-{seed}"
    found = run_chaos(project, request, folder, lambda line: say(out, line))
    print(dumps(report.to_json(found))) if json else report.show(found, out)
    raise typer.Exit(0 if found.holds else 1)
