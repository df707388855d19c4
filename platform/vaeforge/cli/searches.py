"""Commands around searches: tune, train, and what to do with searches that run or have run."""

from typing import Annotated

import typer

from vaeforge.cli.option_types import (
    INTEGER,
    NO_PAIRS,
    ON_OFF,
    PAIRS,
    PATH,
    TEXT,
    Commands,
    OnOff,
    OptionalInt,
    OptionalOnOff,
    OptionalPath,
    OptionalStr,
    Pairs,
)
from vaeforge.cli.options import (
    SEARCH,
    Address,
    Device,
    Epochs,
    Family,
    Json,
    Name,
    Offline,
    Preset,
    Resume,
    Retry,
    Seed,
    Set,
    Workers,
    console,
    resume_command,
)
from vaeforge.progress_bar import shown

app = Commands(add_completion=False)
Storage = Annotated[
    OptionalStr, TEXT.option("folder or URL (s3://…) for checkpoints, where nodes share no folder", metavar="PATH|URL")
]
Quiet = Annotated[OnOff, ON_OFF.option("print only warnings and the result")]
Search = Annotated[str, typer.Argument(metavar="NAME[#TRIAL]", help="a search, or one trial of it")]


@app.command(rich_help_panel=SEARCH)
def tune(
    family: Family = None,
    preset: Preset = None,
    space: Annotated[OptionalPath, PATH.option("space file", default="tune_spaces/<family>.yaml")] = None,
    trials: Annotated[OptionalInt, INTEGER.option("how many configurations to try")] = None,
    epochs: Epochs = None,
    search: Annotated[
        OptionalStr,
        TEXT.option(
            "tpe, gp, cmaes, qmc, random, grid, nsga2, vae, or any sampler of Optuna's as optuna:module.Class",
            default="the space's",
        ),
    ] = None,
    scheduler: Annotated[
        OptionalStr, TEXT.option("asha, hyperband, median, pbt or none", default="the space's")
    ] = None,
    freeze: Annotated[
        Pairs, PAIRS.option("path=value, several separated by commas: parameters that are not searched")
    ] = NO_PAIRS,
    warm_start: Annotated[OptionalStr, TEXT.option("name of a search whose trials inform this one")] = None,
    repeats: Annotated[
        OptionalInt, INTEGER.option("runs of each finalist under different seeds; the best mean wins")
    ] = None,
    budget: Annotated[
        Pairs,
        PAIRS.option(
            "ends the search early: wall_hours, core_hours, gpu_hours, target, stagnation (=…, separated by commas)"
        ),
    ] = NO_PAIRS,
    deterministic: Annotated[
        OptionalOnOff, ON_OFF.option("one trial at a time, so that an interruption does not change the result")
    ] = None,
    workers: Workers = None,
    hosts: Annotated[
        OptionalInt,
        INTEGER.option("worker groups, with a trial or --lanes of them each", default="as many as there is room for"),
    ] = None,
    lanes: Annotated[
        OptionalStr,
        TEXT.option(
            "trials that each host trains at once, as one model: a number, or auto", default="auto on a GPU, else 1"
        ),
    ] = None,
    device: Device = None,
    seed: Seed = None,
    name: Name = None,
    resume: Resume = False,
    retry: Retry = None,
    address: Address = None,
    storage: Storage = None,
    register: Annotated[OnOff, ON_OFF.option("false: do not register the winner", default="true")] = True,
    offline: Offline = False,
    quiet: Quiet = False,
    json: Json = False,
    set_: Set = None,
) -> None:
    """Search a space; evaluate, export and register the winner."""
    from vaeforge import pipeline
    from vaeforge.api import requests
    from vaeforge.paths import Project

    overrides = requests.search_overrides(
        trials=trials,
        workers=workers,
        hosts=hosts,
        lanes=lanes,
        device=device,
        seed=seed,
        repeats=repeats,
        storage=storage,
        budget=requests.read_scalars(budget),
        deterministic=deterministic,
    )
    project, out = Project(), console(json)
    config = requests.resolve_config(project, family, preset, set_, overrides)
    request = requests.search_request(
        project,
        "tune",
        name=name,
        resume=resume,
        retry=retry,
        address=address,
        offline=offline,
        warm_start=warm_start,
        quiet=quiet,
        json=json,
        resume_command=resume_command(),
        console=out,
    )
    found = requests.load_space(
        project,
        config,
        path=space,
        epochs=epochs,
        search=search,
        scheduler=scheduler,
        freeze=requests.read_scalars(freeze),
    )
    with shown(out, quiet=quiet or json):
        code = pipeline.tune(project, config, found, request, register=register, console=out).exit_code
    raise typer.Exit(code)


@app.command(rich_help_panel=SEARCH)
def train(
    family: Family = None,
    preset: Preset = None,
    from_: Annotated[OptionalStr, TEXT.option("NAME or NAME#TRIAL: a search's winner or trial", "--from")] = None,
    seeds: Annotated[int, INTEGER.option("runs with different seeds; later steps use the first", default="1")] = 1,
    workers: Workers = None,
    epochs: Epochs = None,
    device: Device = None,
    seed: Seed = None,
    name: Name = None,
    resume: Resume = False,
    retry: Retry = None,
    address: Address = None,
    storage: Storage = None,
    offline: Offline = False,
    quiet: Quiet = False,
    json: Json = False,
    set_: Set = None,
) -> None:
    """Train one configuration as DDP over `workers` ranks: the one in params.yaml, or a search's."""
    from vaeforge import pipeline
    from vaeforge.api import requests
    from vaeforge.paths import Project

    overrides = requests.search_overrides(
        trials=1, finalists=1, repeats=seeds, workers=workers, device=device, seed=seed, storage=storage
    )
    project, out = Project(), console(json)
    request = requests.search_request(
        project,
        "train",
        name=name,
        resume=resume,
        retry=retry,
        address=address,
        offline=offline,
        quiet=quiet,
        json=json,
        resume_command=resume_command(),
        console=out,
    )
    config = requests.config_from_trial(project, from_, family, preset, set_, overrides)
    raise typer.Exit(pipeline.train(project, config, epochs, request, out).exit_code)


@app.command(rich_help_panel=SEARCH)
def searches(json: Json = False) -> None:
    """List the searches of this project: how each stands, its best value, its size."""
    from vaeforge.cli import search_commands

    search_commands.searches(json, console())


@app.command(rich_help_panel=SEARCH)
def trials(
    name: Search,
    state: Annotated[
        OptionalStr, TEXT.option("only these", metavar="running|completed|early_stopped|stopped|failed")
    ] = None,
    trial: Annotated[
        OptionalInt, INTEGER.option("one trial in detail: epochs, decisions, crashes with traceback")
    ] = None,
    json: Json = False,
) -> None:
    """Show how and why each trial of a search ended."""
    from vaeforge.cli import search_commands

    search_commands.trials(name, state, trial, json, console())


@app.command(rich_help_panel=SEARCH)
def report(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="a search; or several, and models:/NAME/VERSION, to compare")
    ],
    figures: Annotated[
        OptionalPath, PATH.option("folder for the figures as SVG, PNG and their data as CSV", default="none")
    ] = None,
) -> None:
    """Show what a search found, or compare searches and versions: one HTML page, which needs no network."""
    from vaeforge.cli import search_commands

    search_commands.report(names, figures, console())


@app.command(rich_help_panel=SEARCH)
def watch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a search, which may run or have ended")],
    browser: Annotated[OnOff, ON_OFF.option("also show it as a page, for this machine alone")] = False,
    json: Json = False,
) -> None:
    """Show how a search of another terminal stands and what it waits for, until it ends."""
    from vaeforge.cli import search_commands

    search_commands.watch(name, browser, json)


@app.command(rich_help_panel=SEARCH)
def stop(name: Search) -> None:
    """Ask a running search, or one trial of it, to stop; a stopped search can be resumed."""
    from vaeforge.cli import search_commands

    search_commands.stop(name, console())


@app.command(rich_help_panel=SEARCH)
def rm(name: Annotated[str, typer.Argument(metavar="NAME", help="a search that does not run")]) -> None:
    """Remove a search's folder: ledger and checkpoints. What MLflow holds stays."""
    from vaeforge.cli import search_commands

    search_commands.remove(name, console())
