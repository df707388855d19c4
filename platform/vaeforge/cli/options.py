"""The options that several commands have, each said once. An empty text means: not given."""

import shlex
import sys
from typing import Annotated

import typer
from rich.console import Console

from vaeforge import options

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


def console(json: str | None = None) -> Console:
    """Where people read; wide where no terminal says how wide. With `json` that is standard error."""
    machine = options.boolean("json", json, default=False)
    return Console(width=None if sys.stdout.isatty() else 140, stderr=machine)


def resume_command() -> str:
    """This call as a command that continues it."""
    arguments = [argument for argument in sys.argv[1:] if argument]
    command = shlex.join(["vaeforge", *arguments])
    return command if "--resume" in arguments else f"{command} --resume true"
