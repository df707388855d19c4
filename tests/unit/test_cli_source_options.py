"""Options that say how a source is meant: the same ones of `import` and `inspect`, with the same meaning."""

import dataclasses

import typer

from vaeforge.cli.app import app
from vaeforge.cli.source_options import import_options
from vaeforge.importing.import_options import ImportOptions

OWN = {"name", "replace", "track", "yes"}  # of an import alone: what becomes of the data set, not what it is


def options_of(command: str) -> set[str]:
    return {param.name or "" for param in typer.main.get_group(app).commands[command].params}


def test_import_and_inspect_take_the_same_options_of_a_source() -> None:
    fields = {field.name for field in dataclasses.fields(ImportOptions)}
    shared = fields - OWN
    assert shared <= options_of("import") and shared <= options_of("inspect")
    assert options_of("import") - options_of("inspect") == OWN


def test_what_is_not_given_is_what_options_have_by_default() -> None:
    assert import_options() == ImportOptions()
    assert import_options(duplicates="drop", groups="none") == ImportOptions(duplicates="drop", groups="none")
