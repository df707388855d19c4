"""The command line: parse, call one step, exit with its code. 0 done, 2 refused or failed, 130 and 143 interrupted."""

import shlex
import sys
from typing import Annotated

import typer
from rich.console import Console

from vaeforge.errors import VaeforgeError

app = typer.Typer(
    name="vaeforge",
    help="Search, train, evaluate, export and register variational autoencoders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Text = str | None
Family = Annotated[Text, typer.Option(help="kind of model; unset: the one in params.yaml")]
Preset = Annotated[Text, typer.Option(help="named settings of the family: sample, published, or more that it has")]
Set = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, several separated by spaces")]
Run = Annotated[Text, typer.Option(help="tune, train, the name of a search, or the path of a manifest")]
Workers = Annotated[Text, typer.Option(help="DDP ranks of a trial, one GPU each where there are GPUs")]
Epochs = Annotated[Text, typer.Option(help="epochs of a full training")]
Seed = Annotated[Text, typer.Option(help="seed of the search or training")]
Name = Annotated[Text, typer.Option(help="name of the search; unset: family and hash of everything that matters")]
Resume = Annotated[Text, typer.Option(help="true: continue the search of this name")]
Address = Annotated[Text, typer.Option(help="Ray cluster; unset: RAY_ADDRESS, else this machine alone")]
Device = Annotated[Text, typer.Option(help="auto, cpu or cuda; auto takes GPUs where Ray has some")]
Offline = Annotated[Text, typer.Option(help="true: track nothing now, `vaeforge sync` does it later")]


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

    settled = pipeline.settle(family, None, None, {})
    options = pipeline.import_options(name, replace, track, normal, mask, columns, channels)
    pipeline.import_data(settled, source, options, console())


@app.command()
def prepare(family: Family = None, preset: Preset = None, set_: Set = None) -> None:
    """Cut data/<family> into arrays under artifacts/prepared."""
    from vaeforge import pipeline

    pipeline.prepare(pipeline.settle(family, preset, set_, {}), console())


@app.command()
def tune(
    family: Family = None,
    preset: Preset = None,
    space: Annotated[Text, typer.Option(help="space file; unset: tune_spaces/<family>.yaml")] = None,
    trials: Annotated[Text, typer.Option(help="how many configurations to try")] = None,
    epochs: Epochs = None,
    workers: Workers = None,
    hosts: Annotated[Text, typer.Option(help="trials at a time; unset: as many as there is room for")] = None,
    device: Device = None,
    seed: Seed = None,
    name: Name = None,
    resume: Resume = None,
    address: Address = None,
    register: Annotated[Text, typer.Option(help="false: leave the registry alone")] = None,
    offline: Offline = None,
    set_: Set = None,
) -> None:
    """Search a space; evaluate, export and register the winner."""
    from vaeforge import options, pipeline

    overrides = pipeline.search_overrides(trials=trials, workers=workers, hosts=hosts, device=device, seed=seed)
    settled = pipeline.settle(family, preset, set_, overrides)
    request = pipeline.request("tune", name, resume, address, offline, resume_command())
    registers = options.boolean("register", register, default=True)
    raise typer.Exit(
        pipeline.tune(settled, options.text(space), options.integer("epochs", epochs), request, registers, console())
    )


@app.command()
def train(
    family: Family = None,
    preset: Preset = None,
    workers: Workers = None,
    epochs: Epochs = None,
    device: Device = None,
    seed: Seed = None,
    name: Name = None,
    resume: Resume = None,
    address: Address = None,
    offline: Offline = None,
    set_: Set = None,
) -> None:
    """Train one configuration as DDP over `workers` ranks."""
    from vaeforge import options, pipeline

    overrides = pipeline.search_overrides(workers=workers, device=device, seed=seed, hosts="1", trials="1")
    settled = pipeline.settle(family, preset, set_, overrides)
    request = pipeline.request("train", name, resume, address, offline, resume_command())
    raise typer.Exit(pipeline.train(settled, options.integer("epochs", epochs), request, console()))


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
def export(family: Family = None, run: Run = None) -> None:
    """Export a trained model to ONNX and compare it with torch."""
    from vaeforge import pipeline

    pipeline.export(family, run, console())


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

    overrides = pipeline.search_overrides(trials=trials, workers=workers)
    settled = pipeline.settle(family, None, set_, overrides)
    request = pipeline.request("tune", None, None, None, None, resume_command())
    pipeline.prepare(settled, console())
    raise typer.Exit(pipeline.tune(settled, None, None, request, True, console()))


@app.command()
def sync(name: Annotated[str, typer.Option(help="name of the search")]) -> None:
    """Tell MLflow what a search's ledger holds; doing it twice changes nothing."""
    from vaeforge import pipeline

    pipeline.sync(name, console())


def console() -> Console:
    """Where people read; wide where no terminal says how wide."""
    return Console(width=None if sys.stdout.isatty() else 140)


def resume_command() -> str:
    """This call as a command that continues it."""
    arguments = [argument for argument in sys.argv[1:] if argument]
    command = shlex.join(["vaeforge", *arguments])
    return command if "--resume" in arguments else f"{command} --resume true"


def main() -> None:
    """Run the command line; what vaeforge refuses is said in a few lines, without a traceback."""
    try:
        app()
    except VaeforgeError as error:
        Console(stderr=True).print(f"[bold red]error[/]: {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
