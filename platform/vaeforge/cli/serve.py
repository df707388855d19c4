"""Commands around a model in use: serve it, and say whether its inputs have drifted."""

import os
from pathlib import Path
from typing import Annotated

import typer

from vaeforge.cli.option_types import (
    INTEGER,
    NUMBER,
    PATH,
    TEXT,
    Commands,
    OptionalFloat,
    OptionalInt,
    OptionalPath,
    OptionalStr,
)
from vaeforge.cli.options import USE, Json, Model, console, warning_console
from vaeforge.remarks import say, warn

app = Commands(add_completion=False)
DRIFTED, UNKNOWN = 3, 2


@app.command(rich_help_panel=USE)
def serve(
    model: Model,
    host: Annotated[
        OptionalStr, TEXT.option("address; any other than this machine's needs a token", default="127.0.0.1")
    ] = None,
    port: Annotated[OptionalInt, INTEGER.option("0 picks a free port", default="8080")] = None,
    threads: Annotated[OptionalInt, INTEGER.option("of one run of the model", default="all cores but one")] = None,
    poll: Annotated[OptionalFloat, NUMBER.option("seconds between two checks of the alias", default="5")] = None,
    token_file: Annotated[
        OptionalPath, PATH.option("file of mode 0600 with the token that requests must carry", default="VAEFORGE_TOKEN")
    ] = None,
    max_body_mb: Annotated[OptionalFloat, NUMBER.option("of a request", default="32")] = None,
    max_samples: Annotated[OptionalInt, INTEGER.option("of a request", default="256")] = None,
    max_requests: Annotated[
        OptionalInt, INTEGER.option("at a time; further ones are asked to retry", default="32")
    ] = None,
    max_megapixels: Annotated[OptionalFloat, NUMBER.option("of all pictures of a request", default="100")] = None,
    timeout: Annotated[OptionalFloat, NUMBER.option("seconds that a request may take", default="30")] = None,
    rate: Annotated[OptionalInt, INTEGER.option("requests a minute of one client", default="any number")] = None,
    certificate: Annotated[OptionalPath, PATH.option("PEM file of a certificate chain, for HTTPS")] = None,
    key: Annotated[OptionalPath, PATH.option("PEM file of mode 0600 with its private key")] = None,
) -> None:
    """Serve a model over HTTP; if you name an alias, the server follows it."""
    from vaeforge.paths import Project
    from vaeforge.serve.server import serve as run
    from vaeforge.serve.settings import resolve_settings
    from vaeforge.track.store import default_uri

    settings = resolve_settings(
        os.environ,
        host=host,
        port=port,
        threads=threads,
        poll=poll,
        token_file=token_file,
        max_body_mb=max_body_mb,
        max_samples=max_samples,
        max_requests=max_requests,
        max_megapixels=max_megapixels,
        timeout=timeout,
        rate=rate,
        certificate=certificate,
        key=key,
    )
    project, out = Project(), console()
    run(
        model,
        settings,
        project,
        default_uri(project.root),
        lambda text: out.print(text, highlight=False, soft_wrap=True, markup=False),
    )


@app.command(rich_help_panel=USE)
def drift(
    model: Model,
    scores: Annotated[str, typer.Argument(metavar="SCORES", help="table of `vaeforge score --latents true`")],
    json: Json = False,
) -> None:
    """Compare scored inputs with the model's validation samples; exits with 3 if they have drifted, 2 if unknown."""
    from json import dumps

    from vaeforge.config.layouts import layout_named
    from vaeforge.paths import Project
    from vaeforge.registry.fetch import fetch
    from vaeforge.score.manifest import require_scored_with
    from vaeforge.serve.drift import compare, drift_table, reference_of
    from vaeforge.serve.scores import read_scores
    from vaeforge.track.store import default_uri

    project = Project()
    fetched = fetch(model, project, default_uri(project.root))
    bundle = fetched.bundle
    graphs = frozenset(graph.sha256 for graph in bundle.contract.graphs.values())
    if remark := require_scored_with(Path(scores), fetched.name, graphs):
        warn(warning_console(), remark)
    items = read_scores(Path(scores), bundle.contract.latent_dim)
    of_pictures = bool(layout_named(bundle.contract.data).picture_modes)
    found = compare(reference_of(bundle), items.score, items.mu, items.files if of_pictures else None)
    if json:
        typer.echo(dumps(found.plain() | {"warnings": [remark] if remark else []}))
    else:
        out = console()
        if found.score:
            out.print(drift_table(found))
        out.print(f"[bold]{found.verdict}[/]", highlight=False)
        for reason in found.reasons:
            say(out, f"  {reason}")
    raise typer.Exit({"drifted": DRIFTED, "unknown": UNKNOWN}.get(found.verdict, 0))
