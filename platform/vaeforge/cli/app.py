"""Main command: parse, call one step, exit with its code. 0 done, 2 refused or failed, 130 and 143 interrupted."""

import os
import sys
from dataclasses import replace as changed
from typing import Annotated, Literal, NoReturn

import typer

from vaeforge.cli import chaos, data, doctor, init, models, new, score, searches, serve, trace
from vaeforge.cli.option_types import (
    INTEGER,
    ON_OFF,
    PATH,
    TEXT,
    WORDS,
    Commands,
    OnOff,
    OptionalInt,
    OptionalPath,
    OptionalStr,
    Words,
    choice,
)
from vaeforge.cli.options import (
    DATA,
    EVALUATE,
    MODELS,
    SEARCH,
    Family,
    Json,
    Preset,
    Run,
    Seed,
    Set,
    Workers,
    console,
    resume_command,
    stepping,
)
from vaeforge.cli.source_options import with_source_options
from vaeforge.cli.system_errors import told
from vaeforge.errors import ConfigError, VaeforgeError
from vaeforge.importing.import_options import ImportOptions
from vaeforge.remarks import refuse
from vaeforge.version import __version__

WAY = """\
vaeforge finds the β schedule and the latent size of a VAE on your data. The way through:

  vaeforge inspect DIR --family endoscopy    what would be read of your own files; `import` makes a data set of them
  vaeforge tune --trials 16                  searches, evaluates, exports and registers the best model
  vaeforge watch NAME                        the same search from another terminal
  vaeforge report NAME                       what it found, as one page
  vaeforge models list                       the registered models; `score` and `serve` use them

`vaeforge --help` lists all commands, `vaeforge COMMAND --help` the options of one, `vaeforge init DIR` makes a project
folder, `vaeforge doctor` says what is missing here."""
EXIT_CODES = (
    "Exit codes: 0 done; 1 an error that is not vaeforge's own, or what `chaos` found broken; 2 refused or failed, "
    "what `inspect`, `doctor` and `trace` found wrong, or too few inputs for `drift` to tell; 3 `drift`: inputs have "
    "shifted; 130 and 143 interrupted."
)
app = Commands(
    name="vaeforge",
    help="Search, train, evaluate, export and register variational autoencoders.",
    epilog=EXIT_CODES,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


app.add_typer(init.app)


@app.command(name="import", rich_help_panel=DATA)
@with_source_options
def import_(
    source: Annotated[str, typer.Argument(help="a folder, a file, or an archive")],
    family: Family = None,
    name: Annotated[OptionalStr, TEXT.option("name of the data set", default="the source's name")] = None,
    replace: Annotated[OnOff, ON_OFF.option("replace the data set of this name")] = False,
    track: Annotated[OnOff, ON_OFF.option("add the new data to DVC", default="true")] = True,
    yes: Annotated[OnOff, ON_OFF.option("agree to what is assumed where a question is open")] = False,
    *,
    options: ImportOptions,
) -> None:
    """Turn your own files into a checked, versioned data set under data/<family>."""
    from vaeforge import pipeline
    from vaeforge.api import requests
    from vaeforge.paths import Project

    project = Project()
    wanted = changed(options, name=name or "", replace=replace, track=track, yes=yes)
    config = requests.resolve_config(project, family, of_data_set=False)
    with stepping() as out:
        pipeline.import_data(project, config, source, wanted, out)


@app.command(rich_help_panel=DATA)
@with_source_options
def inspect(
    source: Annotated[str, typer.Argument(help="a folder, a file, or an archive")],
    family: Family = None,
    set_: Set = None,
    json: Json = False,
    *,
    options: ImportOptions,
) -> None:
    """Say what an import of your own files would make of them, and what looks wrong; exits 2 where it would stop."""
    from vaeforge import pipeline
    from vaeforge.api import requests
    from vaeforge.paths import Project

    project = Project()
    config = requests.resolve_config(project, family, None, set_, of_data_set=False)
    asked = family is not None
    with stepping(json) as out:
        code = pipeline.inspect(project, config, source, options, out, json=json, asked=asked)
    raise typer.Exit(code)


@app.command(rich_help_panel=DATA)
def prepare(family: Family = None, preset: Preset = None, set_: Set = None) -> None:
    """Turn data/<family> into arrays under artifacts/prepared, split for training and testing."""
    from vaeforge import pipeline
    from vaeforge.api import requests
    from vaeforge.paths import Project

    project = Project()
    config = requests.resolve_config(project, family, preset, set_)
    with stepping() as out:
        pipeline.prepare(project, config, out)


app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.add_typer(searches.app)
app.add_typer(new.app, name="new", rich_help_panel=DATA)
app.add_typer(chaos.app)
app.add_typer(doctor.app)


@app.command(name="pipeline", rich_help_panel=SEARCH)
def pipeline_(
    family: Family = None,
    trials: Annotated[OptionalInt, INTEGER.option("how many configurations to try")] = None,
    workers: Workers = None,
    set_: Set = None,
) -> None:
    """Prepare the data, then do everything that `tune` does: search, evaluate, export and register the winner."""
    from vaeforge import pipeline
    from vaeforge.api import requests
    from vaeforge.paths import Project

    overrides = requests.search_overrides(trials=trials, workers=workers)
    project = Project()
    with stepping() as out:
        config = requests.resolve_config(project, family, None, set_, overrides)
        request = requests.search_request(project, "tune", resume_command=resume_command(), console=out)
        pipeline.prepare(project, config, out)
        space = requests.load_space(project, config)
        code = pipeline.tune(project, config, space, request, register=True, console=out).exit_code
    raise typer.Exit(code)


@app.command(rich_help_panel=SEARCH)
def sync(
    search: Annotated[OptionalStr, TEXT.argument("a search", "NAME")] = None,
    name: Annotated[OptionalStr, TEXT.option("the same as NAME")] = None,
) -> None:
    """Bring MLflow up to date with a search's ledger; doing it twice changes nothing."""
    from vaeforge import pipeline
    from vaeforge.paths import Project

    named = search or name
    if named is None or (search and name and search != name):
        given = "no search" if named is None else f"{search!r} and {name!r}"
        raise ConfigError(f"sync: got {given}, must be one, as in `vaeforge sync NAME`; `vaeforge searches` lists them")
    pipeline.sync(Project(), named, console())


@app.command(rich_help_panel=SEARCH)
def relocate(
    from_: Annotated[
        OptionalPath, PATH.option("folder where the project was", "--from", default="what the database names")
    ] = None,
) -> None:
    """Let MLflow's database name the artifacts that lie here, after the project was moved or copied."""
    from vaeforge import pipeline
    from vaeforge.paths import Project

    pipeline.relocate(Project(), from_, console())


@app.command(rich_help_panel=EVALUATE)
def diffuse(family: Family = None, run: Run = None) -> None:
    """Train a latent diffusion model on a trained model's latents, for families that have one."""
    from vaeforge import pipeline
    from vaeforge.paths import Project

    with stepping() as out:
        pipeline.diffuse(Project(), family, run, out)


@app.command(rich_help_panel=EVALUATE)
def evaluate(family: Family = None, run: Run = None) -> None:
    """Measure a trained model on the test data."""
    from vaeforge import pipeline
    from vaeforge.paths import Project

    with stepping() as out:
        pipeline.evaluate(Project(), family, run, out)


@app.command(rich_help_panel=EVALUATE)
def export(
    family: Family = None,
    run: Run = None,
    precision: Annotated[Words, WORDS.option("fp32, and beside it fp16 or int8, separated by commas")] = (),
) -> None:
    """Export a trained model to ONNX and compare it with torch."""
    from vaeforge import pipeline
    from vaeforge.paths import Project

    with stepping() as out:
        pipeline.export(Project(), family, run, precision, out)


@app.command(rich_help_panel=EVALUATE)
def generate(
    family: Family = None,
    run: Run = None,
    source: Annotated[
        Literal["prior", "aggregate", "image"],
        choice("prior", "aggregate", "image").option("latents; aggregate: the class's posterior", default="prior"),
    ] = "prior",
    label: Annotated[str, TEXT.option("name of a class, or all", default="all")] = "all",
    count: Annotated[int, INTEGER.option("images of each class", default="16")] = 16,
    size: Annotated[
        Literal["square", "original"],
        choice("square", "original").option("original: the aspect ratios of the data", default="square"),
    ] = "square",
    image: Annotated[
        OptionalInt, INTEGER.option("with --source image: the number of a training image of the class")
    ] = None,
    seed: Seed = None,
) -> None:
    """Generate images per class and check them for near copies of the training data."""
    from vaeforge import pipeline
    from vaeforge.generate.request import GenerateRequest
    from vaeforge.paths import Project

    request = GenerateRequest(source=source, label=label, count=count, seed=seed or 0, size=size, image=image)
    with stepping() as out:
        pipeline.generate(Project(), family, run, request, out)


@app.command(rich_help_panel=MODELS)
def register(family: Family = None, run: Run = None) -> None:
    """Register an evaluated, exported model; it becomes champion if it passes the gates."""
    from vaeforge import pipeline
    from vaeforge.paths import Project

    with stepping() as out:
        pipeline.register(Project(), family, run, out)


app.add_typer(models.app, name="models", rich_help_panel=MODELS)
app.add_typer(models.mlproject_commands)
app.add_typer(trace.app)
app.add_typer(score.app)
app.add_typer(serve.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vaeforge {__version__}")
        raise typer.Exit


@app.callback()
def common(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Search, train, evaluate, export and register variational autoencoders."""
    if ctx.invoked_subcommand is None:
        typer.echo(WAY)


def main() -> None:
    """Run the command line; what vaeforge refuses is said in a few lines, without a traceback."""
    # torch's threads wait for one another by spinning, which on cores that others use too is hundreds of times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except VaeforgeError as error:
        _refuse(str(error))
    except OSError as error:
        problem = told(error)
        if problem is None:
            raise
        _refuse(problem)


def _refuse(problem: str) -> NoReturn:
    refuse(problem)
    sys.exit(2)
