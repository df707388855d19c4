"""Files that are nearly right: sound ones with bytes changed, cut and repeated, with odd values in documents, and with
headers that announce what is not there.
"""

import json
import re
import struct
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import yaml
from hypothesis import strategies as st

Document = Any
Place = tuple[Any, ...]
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3,
    2.5,
    2**70,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "-",
    "1e-3",
    "..",
    "a\0b",
    "[/x]",
    "é" * 300,
    [],
    {},
    [[1], None],
    {"a": {"b": 1}},
    {"0": 1},
)
# what a header may announce; the large ones need memory that shows, and which a machine has
WORDS = (0, 1, -1, 2, 3, 255, 2**15 - 1, 2**16 - 1, 3 * 10**7, 2**31 - 1, -(2**31))
FORMS = ("<h", ">h", "<i", ">i", "<q", ">q")
FLOATS = (float("nan"), float("inf"), -1.0, 0.0, 1e30)
TEXTS = ("", "-1", "0", "3", "30000000", "99999999999999999999", "1e308", "nan", "0x10", "1 2", "x")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


@st.composite
def changed_bytes(draw: Callable[..., Any], seeds: Sequence[bytes]) -> bytes:
    """One of `seeds` after one to four changes."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from((0, 1, 2, 8, 64, 10**6))))
        kind = draw(st.sampled_from(("flip", "replace", "cut", "repeat")))
        if kind == "flip" and end > start:
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del content[start:end]
        elif kind == "repeat":
            content[start:start] = content[start:end][:1000]
        else:
            content[start:end] = draw(st.binary(max_size=8))
    return bytes(content)


@st.composite
def changed_words(draw: Callable[..., Any], seeds: Sequence[bytes], within: int) -> bytes:
    """One of `seeds` with one to three numbers among its first `within` bytes overwritten by others."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        form = draw(st.sampled_from((*FORMS, "<f", ">f", "<d")))
        values = (
            FLOATS if form[1] in "fd" else [word for word in WORDS if abs(word) < 2 ** (8 * struct.calcsize(form) - 1)]
        )
        word = struct.pack(form, draw(st.sampled_from(values)))
        place = 2 * draw(st.integers(0, min(within, len(content)) // 2))
        content[place : place + len(word)] = word
    return bytes(content)


@st.composite
def changed_numbers(draw: Callable[..., Any], seeds: Sequence[bytes]) -> bytes:
    """One of `seeds`, texts, with one to three of its numbers replaced by others."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        found = list(NUMBER.finditer(content))
        if not found:
            break
        place = draw(st.sampled_from(range(len(found))))
        new = draw(st.sampled_from(TEXTS)).encode()
        content = content[: found[place].start()] + new + content[found[place].end() :]
    return bytes(content)


@st.composite
def changed_documents(draw: Callable[..., Any], seeds: Sequence[Document], write: Callable[[Any], str]) -> bytes:
    """One of `seeds`, trees of mappings and lists, after one to three changes, as text."""
    tree = json.loads(json.dumps(draw(st.sampled_from(seeds))))
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in _places(tree, ()) if place]
        if not places:
            break
        _change(draw, tree, draw(st.sampled_from(places)))
    return write(tree).encode()


def as_json(tree: Document) -> str:
    return json.dumps(tree)


def as_yaml(tree: Document) -> str:
    return str(yaml.safe_dump(tree, sort_keys=False))


def _places(tree: Document, here: Place) -> list[Place]:
    """Keys and numbers that lead to every node."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [here, *(place for key, value in items for place in _places(value, (*here, key)))]


def _change(draw: Callable[..., Any], tree: Document, place: Place) -> None:
    """Give another value to the node at `place`, remove it, or give it another name."""
    for key in place[:-1]:
        tree = tree[key]
    kind = draw(st.sampled_from(("value", "value", "value", "remove", "rename")))
    if kind == "remove":
        del tree[place[-1]]
    elif kind == "rename" and isinstance(tree, dict):
        tree[draw(st.sampled_from(("", "x", "model.latent_dim", "choice", "name")))] = tree.pop(place[-1])
    else:
        tree[place[-1]] = deepcopy(draw(st.sampled_from(ODD)))
