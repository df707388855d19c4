"""Numbers of a JSON document: a text that spells one, and true, are none, though arrays would take them for some."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import simdjson
from numpy.typing import NDArray

from vaeforge.errors import DataError

ALLOWED: set[type] = {int, float, type(None)}  # null is a missing value, which some models take
WORDS = {b"r": b"true", b"l": b"false"}  # by a letter that is found fifty times as fast where it is not there


def with_array(content: bytes, event: tuple[int, ...]) -> dict[str, Any] | None:
    """The document in `content` with its samples, `inputs.x`, as an array, if they are numbers [N, *event] alone.

    No number becomes an object of Python. What is anything else (null, texts, ragged or single samples, keys that occur
    twice, or no JSON) is none, and left to whoever can say what is wrong with it.
    """
    if b"\\" in content:  # an escaped bracket would be counted wrongly below
        return None
    try:
        document: Any = simdjson.Parser().parse(content)
        inputs: Any = document["inputs"] if _is_object(document) else None
        if not _is_object(inputs):
            return None
        x = inputs["x"]
        if not isinstance(x, simdjson.Array) or (arrays := _count_arrays(x, event)) is None:
            return None
        values: NDArray[np.float64] = np.frombuffer(x.as_buffer(of_type="d"), np.float64)
        rest = {key: _plain(document[key]) for key in document if key != "inputs"}
        known = {key: _plain(inputs[key]) for key in inputs if key != "x"}
    except (ValueError, TypeError, KeyError, RuntimeError):  # simdjson's words; UnicodeDecodeError is a ValueError
        return None
    others = json.dumps([rest, known], ensure_ascii=False).count("[") - 1
    if content.count(b"[") != arrays + others:  # an array among the values, which flattening has taken for its content
        return None
    return {**rest, "inputs": {**known, "x": values.reshape(-1, *event)}}


def _is_object(value: Any) -> bool:
    """Whether it is an object in which no key occurs twice."""
    return isinstance(value, simdjson.Object) and len(set(value)) == len(value)


def _count_arrays(array: Any, event: tuple[int, ...]) -> int | None:
    """How many arrays nested ones of the lengths [N, *event] are; none if they are not. Values are not looked at."""
    rows, count = list(array), 1
    for depth, length in enumerate(event, 1):
        if not rows or not all(isinstance(row, simdjson.Array) and len(row) == length for row in rows):
            return None
        count += len(rows)
        if depth < len(event):
            rows = [inner for row in rows for inner in row]
    return count


def _plain(value: Any) -> Any:
    """A value without the parser that it came from."""
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value


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
    if isinstance(x, dict | np.ndarray):
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
