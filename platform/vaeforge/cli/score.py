"""The command that scores many items with a packaged model; it needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from vaeforge.cli.option_types import (
    NO_PAIRS,
    ON_OFF,
    PATH,
    POSITIVE,
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
    USE,
    Black,
    Columns,
    Json,
    Layer,
    Model,
    Pages,
    TimeAxis,
    Transposed,
    White,
    console,
    stepping,
    warning_console,
)
from vaeforge.remarks import say, tell, warn

if TYPE_CHECKING:
    from vaeforge.score.manifest import ScoreManifest

app = Commands(add_completion=False)


@app.command(rich_help_panel=USE)
def score(
    model: Model,
    input: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="a folder or file that import takes: images, .nii, .npz/.npy/.h5, .parquet, texts",
        ),
    ],
    output: Annotated[OptionalPath, PATH.option("folder of the results", default="artifacts/score")] = None,
    format_: Annotated[
        Literal["parquet", "csv"],
        choice("parquet", "csv").option("of the scores", "--format", default="parquet"),
    ] = "parquet",
    latents: Annotated[OnOff, ON_OFF.option("also write the posterior means, as columns mu_0 and so on")] = False,
    error_maps: Annotated[
        OnOff, ON_OFF.option("write where in each image the error is, in colours and as 16-bit PNG")
    ] = False,
    label: Annotated[OptionalStr, TEXT.option("class of all items", default="the name of each one's folder")] = None,
    pictures: Annotated[
        Literal["whole", "sample", "patches"] | None,
        choice("whole", "sample", "patches").option("what an image is", default="as the model's data were"),
    ] = None,
    white: White = None,
    black: Black = None,
    pages: Pages = None,
    channels: Annotated[Words, WORDS.option("images: channels that are taken, by number or name")] = (),
    columns: Columns = NO_PAIRS,
    layer: Layer = None,
    transposed: Transposed = None,
    time_axis: TimeAxis = None,
    batch: Annotated[int, POSITIVE.option("items at a time", default="64")] = 64,
    threads: Annotated[OptionalInt, POSITIVE.option("of one run of the model", default="one for each core")] = None,
    graph: Annotated[str, TEXT.option("model, model_fp16 or model_int8", default="model")] = "model",
    quiet: Annotated[OnOff, ON_OFF.option("print only the result")] = False,
    json: Json = False,
) -> None:
    """Score a folder or file; after an interruption, the same call continues where it stopped."""
    from json import dumps

    from vaeforge.job_limits import job_cores
    from vaeforge.paths import Project
    from vaeforge.records import to_json
    from vaeforge.registry.fetch import fetch
    from vaeforge.score.files import find
    from vaeforge.score.read_options import ReadOptions, taken_over
    from vaeforge.score.step import ScoreOptions, score_run
    from vaeforge.track.store import default_uri

    project = Project()
    options = ScoreOptions(
        reading=ReadOptions(
            label=label,
            pictures=pictures,
            batch=batch,
            threads=threads or job_cores(),
            white=white,
            black=black or 0.0,
            pages=pages or "",
            channels=channels,
            columns=columns,
            layer=layer or "",
            transposed=transposed,
            time_axis=time_axis or "",
        ),
        graph=graph,
        latents=latents,
        error_maps=error_maps,
        format=format_,
    )
    source = find(Path(input))
    fetched = fetch(model, project, default_uri(project.root))
    folder = output or project.step("score")
    if not quiet:
        tell(warning_console(), *taken_over(options.reading, source.kind, fetched.bundle.contract))
    with stepping(json, quiet) as out:
        outcome = score_run(fetched, source, folder, options, out, quiet or json)
    warn_of_inputs(outcome.manifest, warning_console())
    if json:
        typer.echo(dumps({"folder": str(folder), **to_json(outcome.manifest)}, ensure_ascii=False))
    else:
        show_outcome(outcome.manifest, outcome.already, folder, console())


def warn_of_inputs(manifest: "ScoreManifest", out: Console) -> None:
    """Say where the inputs do not look like the training data, or that nothing can tell."""
    from vaeforge.package.input_check import lacking

    if manifest.warning:
        warn(out, manifest.warning)
    elif not manifest.checked:
        tell(out, lacking(manifest.model.name))


def show_outcome(manifest: "ScoreManifest", already: bool, folder: Path, out: Console) -> None:
    """Say how many items were scored, and how many of them were flagged."""
    counts = manifest.counts
    if already:
        say(out, f"{folder}: already complete")
    learned = f", which learned from the data set {manifest.model.data_set}" if manifest.model.data_set else ""
    say(
        out,
        f"scored {counts.scored:,} items with {manifest.model.name}{learned}: {counts.anomalous:,} of "
        f"{counts.scored:,} flagged as anomalous "
        f"({counts.anomalous / counts.scored:.1%}, score > {manifest.threshold:.6g}), "
        f"{counts.quarantined:,} quarantined, {manifest.seconds} s, {manifest.items_per_second:,} items/s",
    )
    if counts.anomalous > counts.scored / 2 and not manifest.warning:
        tell(out, _mostly_flagged(manifest))
    say(out, f"scores: {folder / manifest.scores}")


def _mostly_flagged(manifest: "ScoreManifest") -> str:
    """That more is flagged than the threshold promises, which most often means that the items are of another kind."""
    of = f"the data set {manifest.model.data_set}" if manifest.model.data_set else "the training data"
    return (
        f"more than half of the items are flagged, and of normal ones like those of {of} about "
        f"{1 - manifest.quantile:.0%} would be; if these are items of another kind, of another camera or at another "
        "scale, the scores say only that"
    )
