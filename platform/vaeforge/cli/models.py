"""Commands around registered models: list, compare, promote, roll back, archive."""

import json as json_
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from vaeforge.cli.option_types import ON_OFF, TEXT, Commands, OnOff, OptionalStr
from vaeforge.cli.options import MODELS, Json, console
from vaeforge.errors import ConfigError
from vaeforge.remarks import say

app = Commands(add_completion=False, no_args_is_help=True, help="List, compare, promote and archive models.")
mlproject_commands = Commands(add_completion=False)
Model = Annotated[str, typer.Argument(metavar="MODEL", help="a registered model, its family or data set")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="a version's number")]
Why = Annotated[OptionalStr, TEXT.option("reason, kept in the audit trail")]
Expect = Annotated[OptionalStr, TEXT.option("version that must be champion now", default="whichever it is")]
NewData = Annotated[OnOff, ON_OFF.option("the champion may have learned from other data", "--new-data")]
ModelOption = Annotated[OptionalStr, TEXT.option("a registered model, or the family's name", "--model")]
VersionOption = Annotated[OptionalStr, TEXT.option("a version's number", "--version")]


@app.command(name="list")
def list_(model: Annotated[OptionalStr, TEXT.argument("its versions", "[MODEL]")] = None, json: Json = False) -> None:
    """List the registered models, or the versions of one."""
    from vaeforge.registry import listing, tables

    reader = _reader()
    with _reading(reader):
        name = _name(reader, model) if model else None
        versions = listing.version_summaries(reader, name) if name else []
        models = [] if name else listing.model_summaries(reader)
    if json:
        _lines(versions if name else models)
    else:
        console().print(tables.versions_table(versions, name) if name else tables.models_table(models))


@app.command()
def show(
    model: Model,
    version: Annotated[OptionalStr, TEXT.argument("a version's number; else the champion", "[VERSION]")] = None,
    json: Json = False,
) -> None:
    """Show everything about one version, with its audit trail; of a model without a champion, its versions."""
    from vaeforge.registry import listing, tables
    from vaeforge.registry.versions import champion_of

    reader = _reader()
    with _reading(reader):
        name = _name(reader, model)
        number = version or champion_of(reader, name)
        detail = listing.version_detail(reader, name, number) if number else None
        versions = [] if number else listing.version_summaries(reader, name)
    if json:
        _lines(versions if detail is None else [detail])
    elif detail is None:
        console().print(tables.versions_table(versions, name))
        say(console(), f"{name} has no champion; `vaeforge models show {model} VERSION` shows one of these")
    else:
        console().print(tables.version_view(detail), highlight=False)


@app.command()
def diff(
    model: Model,
    first: Annotated[str, typer.Argument(metavar="A", help="a version's number")],
    second: Annotated[str, typer.Argument(metavar="B", help="another version's number")],
    json: Json = False,
) -> None:
    """Show where two versions differ: parameters, metrics, data, code."""
    from vaeforge.registry import listing, tables

    reader = _reader()
    with _reading(reader):
        found = listing.differences(reader, _name(reader, model), first, second)
    if json:
        _lines(found)
    else:
        console().print(tables.difference_table(found, first, second))


@app.command()
def promote(
    model: Model,
    version: Version,
    why: Why = None,
    expect: Expect = None,
    new_data: NewData = False,
    json: Json = False,
) -> None:
    """Judge a version by the current gates and make it champion; if it fails, all reasons are listed."""
    _promote(model, version, why, expect, new_data, json)


@app.command()
def rollback(model: Model, why: Why = None, json: Json = False) -> None:
    """Make the previous champion champion again; called again, the one before that."""
    _rollback(model, why, json)


@app.command()
def archive(model: Model, version: Version, why: Why = None, json: Json = False) -> None:
    """Take a version out of use: it can be neither served nor promoted. The champion cannot be archived."""
    _archive(model, version, why, json, archived=True)


@app.command()
def unarchive(model: Model, version: Version, why: Why = None, json: Json = False) -> None:
    """Let an archived version be used again."""
    _archive(model, version, why, json, archived=False)


@mlproject_commands.command(name="promote", rich_help_panel=MODELS)
def promote_by_options(
    model: ModelOption = None,
    version: VersionOption = None,
    why: Why = None,
    expect: Expect = None,
    new_data: NewData = False,
    json: Json = False,
) -> None:
    """Judge a registered version by the current gates and make it champion."""
    _promote(_required("model", model), _required("version", version), why, expect, new_data, json)


@mlproject_commands.command(name="rollback", rich_help_panel=MODELS)
def rollback_by_options(model: ModelOption = None, why: Why = None, json: Json = False) -> None:
    """Make the previous champion champion again."""
    _rollback(_required("model", model), why, json)


def _promote(model: str, version: str, why: str | None, expect: str | None, new_data: bool, json: bool) -> None:
    from vaeforge.paths import Project
    from vaeforge.registry import tables
    from vaeforge.registry.rejudge import promote_judged

    client = _client()
    name = _name(client, model)
    verdict = promote_judged(client, Project(), name, version, _reason(why), expect, new_data)
    if json:
        _lines([{"model": name, "champion": version, "verdict": verdict.plain()}])
        return
    console().print(tables.verdict_table(verdict))
    say(console(), f"champion of {name}: version {version}")


def _rollback(model: str, why: str | None, json: bool) -> None:
    from vaeforge.registry import promote as changes
    from vaeforge.registry.audit import user

    client = _client()
    name = _name(client, model)
    version = changes.rollback(client, name, user(), _reason(why))
    _say(json, {"model": name, "champion": version}, f"champion of {name}: version {version}")


def _archive(model: str, version: str, why: str | None, json: bool, archived: bool) -> None:
    from vaeforge.registry import promote as changes
    from vaeforge.registry.audit import user

    client = _client()
    name, change = _name(client, model), changes.archive if archived else changes.unarchive
    change(client, name, version, user(), _reason(why))
    said = f"{name} version {version}: {'archived' if archived else 'in use again'}"
    _say(json, {"model": name, "version": version, "archived": archived}, said)


def _client() -> Any:
    """A client of the project's registry; what MLflow is, only `track/` and `registry/` know."""
    from vaeforge.paths import Project
    from vaeforge.track.store import default_uri, open_store

    return open_store(default_uri(Project().root), existing=True)


def _reader() -> Any:
    """The same registry for commands that only look things up."""
    from vaeforge.paths import Project
    from vaeforge.track.open_reader import open_reader
    from vaeforge.track.store import default_uri

    return open_reader(default_uri(Project().root))


def _reading(reader: Any) -> Any:
    from vaeforge.registry.mlflow_calls import store_errors

    return store_errors(reader.tracking_uri, "cannot be read")


def _name(reader: Any, given: str) -> str:
    from vaeforge.registry.versions import model_named

    with _reading(reader):
        return model_named(reader, given)


def _reason(why: str | None) -> str:
    return why or "no reason given"


def _required(name: str, value: str | None) -> str:
    if value is None:
        raise ConfigError(f"--{name}: not given; `vaeforge models list` shows what there is")
    return value


def _say(json: bool, row: dict[str, Any], text: str) -> None:
    if json:
        _lines([row])
    else:
        say(console(), text)


def _lines(rows: Iterable[Any]) -> None:
    """Records or objects, one JSON object a line."""
    from vaeforge.records import to_json

    for row in rows:
        print(json_.dumps(to_json(row), ensure_ascii=False), file=sys.stdout)
