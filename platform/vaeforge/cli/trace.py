"""Commands that follow a model back to what made it, and train it again."""

import json as json_format
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from vaeforge.cli.option_types import ON_OFF, Commands, OnOff
from vaeforge.cli.options import MODELS, Json, console
from vaeforge.errors import ConfigError
from vaeforge.paths import Project, write_json
from vaeforge.remarks import say

app = Commands(add_completion=False)
DIFFERS = 2


@app.command(rich_help_panel=MODELS)
def trace(
    model: Annotated[
        str,
        typer.Argument(help="models:/NAME@ALIAS or /VERSION, NAME (its champion), an export's folder, or a manifest"),
    ],
    reproduce: Annotated[OnOff, ON_OFF.option("train it again from its commit and data, and compare")] = False,
    keep: Annotated[OnOff, ON_OFF.option("with --reproduce: keep the temporary folder")] = False,
    trust: Annotated[OnOff, ON_OFF.option("with --reproduce: run code changes that came from the registry")] = False,
    json: Json = False,
) -> None:
    """Follow a model back to its run, trial, search, code and data; each link is verified.

    Exits with 2 if anything differs.
    """
    from vaeforge.registry.resolve_model import resolve_model
    from vaeforge.track.store import default_uri

    if keep and not reproduce:
        raise ConfigError("--keep: got true without --reproduce true, which makes the folder that could be kept")
    if trust and not reproduce:
        raise ConfigError("--trust: got true without --reproduce true, which runs what could be trusted")
    out = console(json)
    project = Project()
    uri = default_uri(project.root)
    traced = resolve_model(model, project, uri)
    code = _reproduce(traced, project, keep, trust, json, out) if reproduce else _trace(traced, project, uri, json, out)
    raise typer.Exit(code)


@app.command(hidden=True)
def retrain(
    winner: Annotated[str, typer.Argument(metavar="WINNER_JSON", help="the manifest of a search's winner")],
    output: Annotated[str, typer.Option(help="where the outcome goes, as JSON")],
) -> None:
    """Train a winner again in the project here, as a worker group of its search did."""
    from vaeforge.manifests.trained_model import read_trained_model
    from vaeforge.records import to_json
    from vaeforge.registry.retrain import retrain as train_again

    manifest = read_trained_model(Path(winner), "name the manifest of a trained model")
    write_json(Path(output), to_json(train_again(Project(), manifest, console())))


def _trace(traced: Any, project: Project, uri: str, machine: bool, out: Console) -> int:
    from vaeforge.records import to_json
    from vaeforge.registry.tables import trace_tree
    from vaeforge.registry.trace import trace as follow

    chain = follow(traced, project, uri)
    problems = [link.kind for link in chain.all() if link.state == "differs"]
    if machine:
        _print({"model": traced.name, "differs": problems, "chain": to_json(chain)})
    else:
        out.print(trace_tree(chain))
    return DIFFERS if problems else 0


def _reproduce(traced: Any, project: Project, keep: bool, trust: bool, machine: bool, out: Console) -> int:
    from vaeforge.registry.reproduce import reproduce as make_again
    from vaeforge.registry.tables import reproduction_table

    done = make_again(traced, project, keep, out, trust)
    out.print(reproduction_table(done))
    allowed = f"up to {done.tolerance.relative:g} of a metric" if done.tolerance.relative else "no difference"
    say(out, f"allowed: {allowed}: {done.tolerance.why}")
    same = "equal to the last byte" if done.same_checkpoint else "not equal to the byte"
    verdict = "[bold green]reproduced[/]" if done.reproduced else "[bold red]not reproduced[/]"
    out.print(f"{verdict}; the training's state is {same}", highlight=False, soft_wrap=True)
    if done.kept is not None:
        say(out, f"kept: {done.kept}")
    if machine:
        kept = None if done.kept is None else str(done.kept)
        _print({"model": traced.name, "reproduced": done.reproduced, **asdict(done), "kept": kept})
    return 0 if done.reproduced else DIFFERS


def _print(content: dict[str, Any]) -> None:
    print(json_format.dumps(content, ensure_ascii=False, indent=2), file=sys.stdout)
