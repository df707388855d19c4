"""Records and JSON: frozen dataclasses out of JSON objects and back, by one reader and one writer for all kinds.

A field has the name of its JSON key, unless its metadata say otherwise (`renamed`). A field marked `SPREAD` is a record
whose keys lie beside those of the record that holds it; one marked `OPTIONAL` is left out of JSON where it is none.
Keys that no field knows are kept in a field called `extra` where there is one, and ignored otherwise, so that files of
older and newer versions can be read.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from vaeforge.errors import DataError, VaeforgeError
from vaeforge.paths import read_json

Record = TypeVar("Record")
Number: TypeAlias = int | float  # pydantic then leaves an integer an integer, and a file comes out as it was read
Metrics: TypeAlias = Mapping[str, Number]
EXTRA = "extra"
SPREAD: Mapping[str, Any] = {"spread": True}
OPTIONAL: Mapping[str, Any] = {"optional": True}
MOST_PROBLEMS = 5


def renamed(key: str) -> Mapping[str, Any]:
    """Metadata of a field that is called `key` in JSON."""
    return {"key": key}


def read_record(
    kind: type[Record], path: Path, what: str, remedy: str, error: type[VaeforgeError] = DataError
) -> Record:
    """The record in the JSON file at `path`; see `record_from`.

    Raises:
        DataError: if the file is missing or not JSON.
    """
    return record_from(kind, read_json(path, remedy), str(path), what, remedy, error)


def record_from(
    kind: type[Record], content: Any, where: str, what: str, remedy: str, error: type[VaeforgeError] = DataError
) -> Record:
    """The record of `kind` in the JSON object `content`.

    Args:
        kind: a dataclass.
        content: a parsed JSON document.
        where: it comes from, for messages.
        what: it must be, for messages, say "manifest of a trained model".
        remedy: what to do where it is not.
        error: what is raised then.

    Raises:
        VaeforgeError: `error`, naming every key that is missing or has a wrong value.
    """
    if not isinstance(content, Mapping):
        raise error(f"{where}: is no {what}: it holds no JSON object; {remedy}")
    try:
        record: Record = _adapter(cast(Any, kind)).validate_python(_arranged(kind, content))
    except ValidationError as invalid:
        raise error(f"{where}: is no {what}: {_problems(kind, invalid)}; {remedy}") from None
    return record


def to_json(value: Any, *, finite: bool = False) -> Any:
    """`value` as JSON holds it: records as objects with the keys that they are read from, tuples as lists.

    Args:
        value: a record, or what its fields hold.
        finite: null for a number that is not finite, as a ledger has it: strict JSON has no word for it. Else it stays,
            and Python writes and reads `NaN` and `Infinity`.
    """
    if is_dataclass(value):
        return dict(_entries(value, finite))
    if isinstance(value, Mapping):
        return {str(key): to_json(item, finite=finite) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item, finite=finite) for item in value]
    return None if finite and isinstance(value, float) and not math.isfinite(value) else value


def _entries(record: Any, finite: bool) -> Iterator[tuple[str, Any]]:
    for one in _writers(cast(Any, type(record))):
        value = getattr(record, one.name)
        if one.spread:
            yield from to_json(value, finite=finite).items()
        elif value is not None or not one.optional:
            yield one.key, to_json(value, finite=finite)


class _Writer(NamedTuple):
    """How a field is written."""

    name: str
    key: str
    spread: bool
    optional: bool


@cache
def _writers(kind: Any) -> tuple[_Writer, ...]:
    return tuple(
        _Writer(one.name, _key(one), bool(one.metadata.get("spread")) or one.name == EXTRA, "optional" in one.metadata)
        for one in fields(kind)
    )


def _key(one: "Field[Any]") -> str:
    return str(one.metadata.get("key", one.name))


def _arranged(kind: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a JSON object by the names of the fields of `kind`."""
    found: dict[str, Any] = {}
    known: set[str] = set()
    types = _types(kind)
    for one in fields(kind):
        if one.metadata.get("spread"):
            found[one.name] = _arranged(types[one.name], content)
            known |= {_key(inner) for inner in fields(types[one.name])}
        elif one.name != EXTRA and _key(one) in content:
            found[one.name] = _inner(types[one.name], content[_key(one)])
        known.add(_key(one))
    if any(one.name == EXTRA for one in fields(kind)):
        found[EXTRA] = {key: value for key, value in content.items() if key not in known}
    return found


def _inner(kind: Any, value: Any) -> Any:
    """The value of a field, arranged as well where the field is a record."""
    return _arranged(kind, value) if is_dataclass(kind) and isinstance(value, Mapping) else value


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _problems(kind: Any, invalid: ValidationError) -> str:
    """`it lacks a, b; c: should be a valid integer`, by JSON keys."""
    problems, names = invalid.errors(include_url=False), {one.name: one for one in fields(kind)}
    lacking = [_place(names, one["loc"]) for one in problems if one["type"] == "missing"]
    wrong = [f"{_place(names, one['loc'])}: {one['msg'][:1].lower()}{one['msg'][1:]}" for one in problems]
    wrong = [text for text, one in zip(wrong, problems, strict=True) if one["type"] != "missing"]
    told = [f"it lacks {', '.join(lacking)}"] if lacking else []
    return "; ".join([*told, *wrong][:MOST_PROBLEMS])


def _place(names: Mapping[str, "Field[Any]"], place: tuple[int | str, ...]) -> str:
    """`checkpoint.sha256`: where a problem is, as JSON has it."""
    first = names.get(str(place[0])) if place else None
    if first is not None and first.metadata.get("spread"):
        place = place[1:]
    elif first is not None:
        place = (_key(first), *place[1:])
    return ".".join(str(part) for part in place)
