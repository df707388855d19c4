"""The command that scores many items with a packaged model; it needs no torch."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from vaeforge import options
from vaeforge.cli.options import Text, console
from vaeforge.errors import ConfigError

app = typer.Typer(add_completion=False)
BATCH = 64


@app.command()
def score(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/VERSION, or an exported folder")
    ],
    input: Annotated[
        str, typer.Argument(metavar="INPUT", help="a folder or a file: pictures, .npz/.npy, or .parquet/.csv")
    ],
    output: Annotated[Text, typer.Option(help="folder of the results; unset: artifacts/score")] = None,
    format_: Annotated[Text, typer.Option("--format", help="of the scores: parquet (unset) or csv")] = None,
    latents: Annotated[Text, typer.Option(help="true: the posterior means, too, as columns mu_0 and so on")] = None,
    error_maps: Annotated[Text, typer.Option(help="true: where in each image the error is, as 16-bit PNG")] = None,
    label: Annotated[Text, typer.Option(help="class of all items; unset: the name of each one's folder")] = None,
    pictures: Annotated[
        Text, typer.Option(help="whole, sample or patches: what a picture is; unset: as the model's data were")
    ] = None,
    batch: Annotated[Text, typer.Option(help=f"items at a time; unset: {BATCH}")] = None,
    threads: Annotated[Text, typer.Option(help="unset: one for each core")] = None,
    graph: Annotated[Text, typer.Option(help="model (unset), model_fp16 or model_int8")] = None,
    quiet: Annotated[Text, typer.Option(help="true: the end alone")] = None,
) -> None:
    """Score a folder or file; called again after an interruption, it goes on where it was."""
    from vaeforge.paths import Project
    from vaeforge.registry.fetch import fetch
    from vaeforge.score.files import Reading, find
    from vaeforge.score.step import Options, score_run
    from vaeforge.track.store import default_uri

    project = Project()
    reading = Reading(
        options.text(label),
        options.text(pictures),
        positive("batch", batch, BATCH),
        positive("threads", threads, len(os.sched_getaffinity(0))),
    )
    wanted = Options(
        reading,
        options.text(graph) or "model",
        options.boolean("latents", latents, default=False),
        options.boolean("error-maps", error_maps, default=False),
        format_of(format_),
    )
    silent = options.boolean("quiet", quiet, default=False)
    found = find(Path(input))
    fetched = fetch(model, project, default_uri(project.root))
    folder = Path(options.text(output) or project.step("score"))
    outcome = score_run(fetched, found, folder, wanted, console(), silent)
    tell(outcome.manifest, outcome.already, folder, console())


def positive(name: str, value: str | None, default: int) -> int:
    """A whole number of at least 1.

    Raises:
        ConfigError: if it is something else.
    """
    given = options.integer(name, value)
    if given is not None and given < 1:
        raise ConfigError(f"--{name}: got {given}, must be >= 1")
    return given or default


def format_of(value: str | None) -> Literal["parquet", "csv"]:
    """The format of the scores.

    Raises:
        ConfigError: if it is neither of the two.
    """
    given = options.text(value) or "parquet"
    if given == "csv":
        return "csv"
    if given == "parquet":
        return "parquet"
    raise ConfigError(f"--format: got {given!r}, must be parquet or csv")


def tell(manifest: dict[str, object], already: bool, folder: Path, out: Console) -> None:
    """Say what came of it."""
    counts, model = manifest["counts"], manifest["model"]
    assert isinstance(counts, dict) and isinstance(model, dict)
    share = counts["strange"] / counts["scored"]
    if already:
        out.print(f"{folder}: already complete", highlight=False, soft_wrap=True)
    out.print(
        f"scored {counts['scored']:,} items with {model['name']}: {counts['strange']:,} strange ({share:.1%} above "
        f"{manifest['threshold']:.6g}), {counts['quarantined']:,} quarantined, {manifest['seconds']} s, "
        f"{manifest['items_per_second']:,} items/s",
        highlight=False,
        soft_wrap=True,
    )
    out.print(f"scores: {folder / str(manifest['scores'])}", highlight=False, soft_wrap=True)
