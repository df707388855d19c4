"""Numbers of a JSON document: a text that spells one, and true, are none, though arrays would take them for some."""

from collections.abc import Iterator
from typing import Any

from vaeforge.errors import DataError

ALLOWED: set[type] = {int, float, type(None)}  # null is a missing value, which some models take
WORDS = {b"r": b"true", b"l": b"false"}  # by a letter that is found fifty times as fast where it is not there


def require_numbers(content: bytes, document: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Refuse samples and conditions of numbers in which something else stands.

    Looking at each of millions of numbers would take as long as parsing them, so that samples are only looked at where
    the text holds a word or more quotation marks than the rest of the document explains.

    Args:
        content: the document's text.
        document: what it holds.
        inputs: of it, with `x`.

    Raises:
        DataError: naming the first value that is no number.
    """
    for where, holder in (("condition", document), ("inputs.condition", inputs)):
        given = holder.get("condition")
        if isinstance(given, list) and not all(isinstance(value, str) for value in given):
            _require(given, where)
    x = inputs.get("x")
    if isinstance(x, dict):
        return
    rest = {**document, "inputs": {key: value for key, value in inputs.items() if key != "x"}}
    texts = sum(1 for _ in _texts(rest)) + ("x" in inputs)
    words = any(letter in content and word in content for letter, word in WORDS.items())
    if words or b"\\" in content or content.count(b'"') != 2 * texts:
        _require(x, "inputs.x")


def _texts(value: Any) -> Iterator[str]:
    """Keys and texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _require(values: Any, where: str) -> None:
    rows = [[values]]
    while rows:
        row = rows.pop()
        if set(map(type, row)) - ALLOWED - {list}:
            wrong = next(value for value in row if type(value) not in ALLOWED | {list})
            raise DataError(f"{where}: is no array of numbers (it holds {_short(wrong)}), must be one")
        rows += [value for value in row if type(value) is list]


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
