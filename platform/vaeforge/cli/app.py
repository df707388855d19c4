"""The command line: parse, call one step, exit with its code. 0 done, 2 refused or failed, 130 and 143 interrupted."""

import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from vaeforge.cli import models, score, searches, serve, trace
from vaeforge.cli.options import Family, Preset, Run, Seed, Set, Text, Workers, console, resume_command
from vaeforge.errors import VaeforgeError

app = typer.Typer(
    name="vaeforge",
    help="Search, train, evaluate, export and register variational autoencoders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(searches.app)
app.add_typer(models.app, name="models")
app.add_typer(models.doors)
app.add_typer(trace.app)
app.add_typer(score.app)
app.add_typer(serve.app)


@app.command(name="import")
def import_(
    source: Annotated[str, typer.Argument(help="a folder, a file, or an archive")],
    family: Family = None,
    name: Annotated[Text, typer.Option(help="of the data set; unset: the source's name")] = None,
    replace: Annotated[Text, typer.Option(help="true: replace the data set of this name")] = None,
    track: Annotated[Text, typer.Option(help="false: leave DVC alone")] = None,
    normal: Annotated[Text, typer.Option(help="pictures: classes that are normal, separated by commas")] = None,
    mask: Annotated[Text, typer.Option(help="series: NIfTI file of the voxels to keep")] = None,
    columns: Annotated[Text, typer.Option(help="points: which columns are meant, say x=xccf,y=yccf,z=zccf")] = None,
    channels: Annotated[Text, typer.Option(help="points: columns that are channels, separated by commas")] = None,
) -> None:
    """Make a checked, versioned data set under data/<family> out of your own files."""
    from vaeforge import pipeline
    from vaeforge.cli import arguments

    config = arguments.resolve_config(family, None, None, {})
    options = arguments.import_options(name, replace, track, normal, mask, columns, channels)
    pipeline.import_data(config, source, options, console())


@app.command()
def prepare(family: Family = None, preset: Preset = None, set_: Set = None) -> None:
    """Cut data/<family> into arrays under artifacts/prepared."""
    from vaeforge import pipeline
    from vaeforge.cli import arguments

    pipeline.prepare(arguments.resolve_config(family, preset, set_, {}), console())


@app.command()
def diffuse(family: Family = None, run: Run = None) -> None:
    """Train a latent diffusion model on a trained model's latents, for families that have one."""
    from vaeforge import pipeline

    pipeline.diffuse(family, run, console())


@app.command()
def evaluate(family: Family = None, run: Run = None) -> None:
    """Measure a trained model on the test data."""
    from vaeforge import pipeline

    pipeline.evaluate(family, run, console())


@app.command()
def export(
    family: Family = None,
    run: Run = None,
    precision: Annotated[Text, typer.Option(help="fp32, and beside it fp16 or int8, separated by commas")] = None,
) -> None:
    """Export a trained model to ONNX and compare it with torch."""
    from vaeforge import pipeline

    pipeline.export(family, run, precision, console())


@app.command()
def register(family: Family = None, run: Run = None) -> None:
    """Register an evaluated, exported model; it becomes champion if the gates let it."""
    from vaeforge import pipeline

    pipeline.register(family, run, console())


@app.command()
def generate(
    family: Family = None,
    run: Run = None,
    source: Annotated[Text, typer.Option(help="prior, aggregate (the class's posterior), or image")] = None,
    label: Annotated[Text, typer.Option(help="name of a class, or all")] = None,
    count: Annotated[Text, typer.Option(help="images of each class")] = None,
    size: Annotated[Text, typer.Option(help="square, or original: the aspect ratios of the data")] = None,
    image: Annotated[
        Text, typer.Option(help="with --source image: the number of a training image of the class")
    ] = None,
    seed: Seed = None,
) -> None:
    """Images of a class-conditional model, with a check of what nearly copies its training images."""
    from vaeforge import pipeline

    pipeline.generate(family, run, source, label, count, size, image, seed, console())


@app.command(name="pipeline")
def pipeline_(
    family: Family = None,
    trials: Annotated[Text, typer.Option(help="how many configurations to try")] = None,
    workers: Workers = None,
    set_: Set = None,
) -> None:
    """All steps: prepare, tune, evaluate, export, register."""
    from vaeforge import pipeline
    from vaeforge.cli import arguments

    overrides = arguments.search_overrides(trials=trials, workers=workers)
    config = arguments.resolve_config(family, None, set_, overrides)
    request = arguments.request("tune", None, None, None, None, resume_command(), console())
    pipeline.prepare(config, console())
    raise typer.Exit(pipeline.tune(config, arguments.load_space(config, None, None, {}), request, True, console()))


@app.command()
def sync(name: Annotated[str, typer.Option(help="name of the search")]) -> None:
    """Tell MLflow what a search's ledger holds; doing it twice changes nothing."""
    from vaeforge import pipeline

    pipeline.sync(name, console())


def main() -> None:
    """Run the command line; what vaeforge refuses is said in a few lines, without a traceback."""
    # torch's threads wait for one another by spinning, which on cores that others use too is hundreds of times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except VaeforgeError as error:
        Console(stderr=True).print(f"[bold red]error[/]: {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
