"""The commands around searches: tune, train, and what to do with searches that run or have run."""

from typing import Annotated

import typer

from vaeforge.cli.options import (
    Address,
    Device,
    Epochs,
    Family,
    Name,
    Offline,
    Preset,
    Resume,
    Seed,
    Set,
    Text,
    Workers,
    console,
    resume_command,
)

app = typer.Typer(add_completion=False)
Storage = Annotated[Text, typer.Option(help="folder or URL (s3://…) for checkpoints, where nodes share no folder")]
Quiet = Annotated[Text, typer.Option(help="true: warnings and the end alone")]
Json = Annotated[Text, typer.Option("--json", help="true: one JSON object a line instead of tables")]
Search = Annotated[str, typer.Argument(metavar="NAME[#TRIAL]", help="a search, or one trial of it")]


@app.command()
def tune(
    family: Family = None,
    preset: Preset = None,
    space: Annotated[Text, typer.Option(help="space file; unset: tune_spaces/<family>.yaml")] = None,
    trials: Annotated[Text, typer.Option(help="how many configurations to try")] = None,
    epochs: Epochs = None,
    search: Annotated[Text, typer.Option(help="tpe, gp, cmaes, qmc, random, grid or nsga2; unset: the space's")] = None,
    scheduler: Annotated[Text, typer.Option(help="asha, hyperband, median, pbt or none; unset: the space's")] = None,
    freeze: Annotated[Text, typer.Option(help="path=value, several separated by commas: not searched")] = None,
    warm_start: Annotated[Text, typer.Option(help="name of a search whose trials inform this one")] = None,
    repeats: Annotated[Text, typer.Option(help="runs of each finalist, seeds differ; the best mean wins")] = None,
    budget: Annotated[
        Text, typer.Option(help="ends earlier: wall_hours, core_hours, gpu_hours, target, stagnation (=…, by commas)")
    ] = None,
    deterministic: Annotated[Text, typer.Option(help="true: one trial at a time, resuming changes nothing")] = None,
    workers: Workers = None,
    hosts: Annotated[Text, typer.Option(help="trials at a time; unset: as many as there is room for")] = None,
    device: Device = None,
    seed: Seed = None,
    name: Name = None,
    resume: Resume = None,
    address: Address = None,
    storage: Storage = None,
    register: Annotated[Text, typer.Option(help="false: leave the registry alone")] = None,
    offline: Offline = None,
    quiet: Quiet = None,
    json: Json = None,
    set_: Set = None,
) -> None:
    """Search a space; evaluate, export and register the winner."""
    from vaeforge import options, pipeline
    from vaeforge.cli import arguments

    overrides = arguments.search_overrides(
        trials=trials, workers=workers, hosts=hosts, device=device, seed=seed, repeats=repeats, storage=storage
    )
    overrides |= arguments.ending_overrides(budget, deterministic)
    config = arguments.resolve_config(family, preset, set_, overrides)
    out = console(json)
    known = options.text(warm_start)
    request = arguments.request("tune", name, resume, address, offline, resume_command(), out, known, quiet, json)
    changes = arguments.space_changes(search, scheduler, freeze)
    searched = arguments.load_space(config, options.text(space), options.integer("epochs", epochs), changes)
    registers = options.boolean("register", register, default=True)
    raise typer.Exit(pipeline.tune(config, searched, request, registers, out))


@app.command()
def train(
    family: Family = None,
    preset: Preset = None,
    from_: Annotated[Text, typer.Option("--from", help="NAME or NAME#TRIAL: a search's winner or trial")] = None,
    seeds: Annotated[Text, typer.Option(help="runs with different seeds; the first is handed on")] = None,
    workers: Workers = None,
    epochs: Epochs = None,
    device: Device = None,
    seed: Seed = None,
    name: Name = None,
    resume: Resume = None,
    address: Address = None,
    storage: Storage = None,
    offline: Offline = None,
    quiet: Quiet = None,
    json: Json = None,
    set_: Set = None,
) -> None:
    """Train one configuration as DDP over `workers` ranks: the one in params.yaml, or a search's."""
    from vaeforge import options, pipeline
    from vaeforge.cli import arguments

    one = {"trials": "1", "finalists": "1", "repeats": options.text(seeds) or "1"}
    overrides = arguments.search_overrides(workers=workers, device=device, seed=seed, storage=storage, **one)
    out = console(json)
    request = arguments.request("train", name, resume, address, offline, resume_command(), out, None, quiet, json)
    config = arguments.config_from_trial(options.text(from_), family, preset, set_, overrides)
    raise typer.Exit(pipeline.train(config, options.integer("epochs", epochs), request, out))


@app.command()
def searches(json: Json = None) -> None:
    """List the searches of this project: how each stands, its best value, its size."""
    from vaeforge.cli import search_commands

    search_commands.searches(json, console())


@app.command()
def trials(
    name: Annotated[str, typer.Argument(metavar="NAME[#TRIAL]", help="a search, or one trial of it")],
    state: Annotated[Text, typer.Option(help="running, completed, early_stopped, stopped or failed")] = None,
    trial: Annotated[Text, typer.Option(help="one trial in detail: epochs, decisions, crashes with traceback")] = None,
    json: Json = None,
) -> None:
    """Say of each trial of a search how and why it ended."""
    from vaeforge.cli import search_commands

    search_commands.trials(name, state, trial, json, console())


@app.command()
def stop(name: Search) -> None:
    """Ask a running search, or one trial of it, to stop; a stopped search can be resumed."""
    from vaeforge.cli import search_commands

    search_commands.stop(name, console())


@app.command()
def rm(name: Annotated[str, typer.Argument(metavar="NAME", help="a search that does not run")]) -> None:
    """Remove a search's folder: ledger and checkpoints. What MLflow holds stays."""
    from vaeforge.cli import search_commands

    search_commands.remove(name, console())
