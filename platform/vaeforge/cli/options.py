"""Options that several commands share, and the console that commands print to."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer
from rich.console import Console

from vaeforge.cli.option_types import (
    INTEGER,
    NUMBER,
    ON_OFF,
    PAIRS,
    TEXT,
    OnOff,
    OptionalFloat,
    OptionalInt,
    OptionalOnOff,
    OptionalStr,
    Pairs,
    choice,
)
from vaeforge.progress_bar import shown

# panels of `vaeforge --help`
DATA, SEARCH, EVALUATE, MODELS, USE = "Data", "Search", "Evaluate", "Models", "Use"

Family = Annotated[OptionalStr, TEXT.option("kind of model", default="family in params.yaml")]
Preset = Annotated[
    OptionalStr,
    TEXT.option("preset of the family: sample, published, …", default="preset in params.yaml"),
]
Run = Annotated[
    OptionalStr, TEXT.option("tune, train, the name of a search, or the path of a manifest", default="tune")
]
Workers = Annotated[OptionalInt, INTEGER.option("DDP ranks of a trial, one GPU each where there are GPUs")]
Epochs = Annotated[OptionalInt, INTEGER.option("epochs of a full training")]
Seed = Annotated[OptionalInt, INTEGER.option("seed of the search or training")]
Name = Annotated[OptionalStr, TEXT.option("name of the search", default="family and hash of everything that matters")]
Resume = Annotated[OnOff, ON_OFF.option("continue the search of this name")]
Retry = Annotated[
    Literal["failed"] | None,
    choice("failed").option(
        "with --resume, trials that are tried again", default="those that failed for disk, checkpoint or a lost node"
    ),
]
Address = Annotated[OptionalStr, TEXT.option("Ray cluster", default="RAY_ADDRESS, else this machine alone")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"] | None, choice("auto", "cpu", "cuda").option("auto takes GPUs where Ray has some")
]
White = Annotated[
    OptionalFloat, NUMBER.option("images of more than 8 bits: the value that is white", default="of the data set")
]
Black = Annotated[OptionalFloat, NUMBER.option("images of more than 8 bits: the value that is black", default="0")]
Window = Annotated[
    OptionalStr,
    TEXT.option("images of more than 8 bits: CENTRE,WIDTH of the values to tell apart, as 40,400; others are clipped"),
]
Pages = Annotated[
    OptionalStr, TEXT.option("images: what the pages of a file are: frames, first, max, mean or channels")
]
Columns = Annotated[Pairs, PAIRS.option("points: which columns to use, for example x=xccf,y=yccf,z=zccf")]
Transposed = Annotated[OptionalOnOff, ON_OFF.option("series: arrays are voxels x timepoints")]
Layer = Annotated[OptionalStr, TEXT.option("points: layer of AnnData to read", default="X")]
TimeAxis = Annotated[
    Literal["first", "last"] | None, choice("first", "last").option("series: where NIfTI has time", default="last")
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="models:/NAME@ALIAS or /VERSION, NAME (its champion), or an exported folder",
    ),
]
Offline = Annotated[OnOff, ON_OFF.option("do not track now; `vaeforge sync` does it later")]
Json = Annotated[OnOff, ON_OFF.option("one JSON object per line instead of tables", "--json")]


def _assignments(values: list[str] | None) -> list[str]:
    """Each `section.key=value`; `mlflow run` passes several in one text, separated by spaces."""
    return [word for text in values or [] for word in text.split()]


Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="section.key=value, or several of them", metavar="KEY=VALUE", callback=_assignments),
]


def console(json: bool = False) -> Console:
    """Where people read; wide where no terminal says how wide. With `json` that is standard error."""
    return Console(width=None if sys.stdout.isatty() else 140, stderr=json)


@contextmanager
def stepping(json: bool = False, quiet: bool = False) -> Iterator[Console]:
    """The console of a command, on which it is shown how far its steps have come: no word of it with `json`."""
    out = console(json)
    with shown(out, quiet=quiet or json):
        yield out


def warning_console() -> Console:
    """Standard error, where warnings go, so that what a command answers can be piped on."""
    return Console(width=None if sys.stderr.isatty() else 140, stderr=True)


def resume_command() -> str:
    """This call as a command that continues it; options with an empty value are left out."""
    arguments: list[str] = []
    for word in sys.argv[1:]:
        if word:
            arguments.append(word)
        elif arguments and arguments[-1].startswith("--"):
            arguments.pop()
    command = shlex.join(["vaeforge", *arguments])
    return command if "--resume" in arguments else f"{command} --resume true"
