"""The commands around a model in use: serve it, and say whether its inputs have drifted."""

import os
from pathlib import Path
from typing import Annotated

import typer

from vaeforge.cli.options import Text, console

app = typer.Typer(add_completion=False)
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/VERSION, or an exported folder")
]
DRIFTED, UNKNOWN = 3, 2


@app.command()
def serve(
    model: Model,
    host: Annotated[Text, typer.Option(help="unset: 127.0.0.1; beyond this machine a token is needed")] = None,
    port: Annotated[Text, typer.Option(help="unset: 8080; 0: any free one")] = None,
    threads: Annotated[Text, typer.Option(help="of one run of the model; unset: all cores but one")] = None,
    poll: Annotated[Text, typer.Option(help="seconds between two looks at where an alias points; unset: 5")] = None,
    token_file: Annotated[
        Text, typer.Option(help="file of mode 0600 with the token to ask for; unset: VAEFORGE_TOKEN")
    ] = None,
    max_body_mb: Annotated[Text, typer.Option(help="of a request; unset: 32")] = None,
    max_samples: Annotated[Text, typer.Option(help="of a request; unset: 256")] = None,
    max_requests: Annotated[Text, typer.Option(help="at a time, more are told to come again; unset: 32")] = None,
    timeout: Annotated[Text, typer.Option(help="seconds that a request may take; unset: 30")] = None,
) -> None:
    """Answer HTTP requests with a model; one named by an alias is replaced when the alias moves."""
    from vaeforge import options
    from vaeforge.paths import Project
    from vaeforge.serve.server import serve as run
    from vaeforge.serve.settings import settle
    from vaeforge.track.store import default_uri

    texts = {"host": host, "port": port, "threads": threads, "poll": poll, "token_file": token_file}
    texts |= {"max_body_mb": max_body_mb, "max_samples": max_samples, "max_requests": max_requests, "timeout": timeout}
    settings = settle({name: options.text(value) for name, value in texts.items()}, os.environ)
    project, out = Project(), console()
    run(
        model,
        settings,
        project,
        default_uri(project.root),
        lambda text: out.print(text, highlight=False, soft_wrap=True, markup=False),
    )


@app.command()
def drift(
    model: Model,
    scores: Annotated[str, typer.Argument(metavar="SCORES", help="table of `vaeforge score --latents true`")],
    json: Annotated[Text, typer.Option("--json", help="true: one JSON object instead of a table")] = None,
) -> None:
    """Compare scored inputs with the model's validation samples; exits with 3 if they have drifted, 2 if unknown."""
    from dataclasses import asdict
    from json import dumps

    from vaeforge import options
    from vaeforge.paths import Project
    from vaeforge.registry.fetch import fetch
    from vaeforge.serve.drift import compare, reference_of
    from vaeforge.serve.report import drift_table
    from vaeforge.serve.scores import read_scores
    from vaeforge.track.store import default_uri

    machine, project = options.boolean("json", json, default=False), Project()
    bundle = fetch(model, project, default_uri(project.root)).bundle
    found = compare(reference_of(bundle), *read_scores(Path(scores), bundle.contract.latent_dim))
    if machine:
        typer.echo(dumps(asdict(found)))
    else:
        out = console()
        if found.score:
            out.print(drift_table(found))
        out.print(f"[bold]{found.verdict}[/]" + "".join(f"\n  {reason}" for reason in found.reasons), highlight=False)
    raise typer.Exit({"drifted": DRIFTED, "unknown": UNKNOWN}.get(found.verdict, 0))
