"""Parsers of files that others may have written: whatever is in them, nothing but a vaeforge error comes out.

Few inputs here, the same ones each time; `make fuzz` tries 10,000 a parser.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from fuzz.format_parsers import FORMAT_PARSERS
from fuzz.parsers import PARSERS
from fuzz.running import each, refused_or_read
from fuzz.score_parsers import SCORE_PARSERS
from vaeforge.config.loader import load
from vaeforge.config.strict_yaml import parse_scalar, read_yaml
from vaeforge.data.arrays import read_npy
from vaeforge.data.delimited import dialect_of
from vaeforge.data.file_format import FORMATS
from vaeforge.errors import ConfigError, DataError
from vaeforge.track.replay import run_ids

ALL = PARSERS | FORMAT_PARSERS | SCORE_PARSERS


def test_every_file_format_is_fuzzed() -> None:
    assert {f"format {name}" for name in FORMATS.names()} <= set(ALL)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.slow
def test_nothing_but_our_own_error_comes_out(name: str, tmp_path: Path) -> None:
    parser = ALL[name]
    path = tmp_path / parser.file

    def refused(content: bytes) -> None:
        path.write_bytes(content)
        refused_or_read(lambda: parser.read(path))

    each(parser.contents, refused)


# what came out once


@pytest.mark.parametrize("text", ["a: \x1a\n", "2001-13-45: 1\n", "a: 2001-13-45\n", "? [a]\n: 1\n"])
def test_yaml_that_says_what_there_is_not_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(tmp_path / "a.yaml")


def test_a_value_that_is_no_date_is_a_text() -> None:
    assert parse_scalar("2001-13-45") == "2001-13-45"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("search: {1: 2}", "search.1: got a key that is no text"),
        ("family: [endoscopy]", "family: got .* must be a name"),
        ("preset: {a: 1}", "preset: got .* must be a name"),
    ],
)
def test_params_with_other_values_than_texts_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        load(tmp_path)


@pytest.mark.parametrize("content", [{}, {"trials": None}, {"store": "s", "parent": "p", "trials": {"x": "r"}}])
def test_a_damaged_cursor_of_tracking_is_named(tmp_path: Path, content: object) -> None:
    (tmp_path / "tracking.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"tracking\.json: is no record of what a store has been told"):
        run_ids(tmp_path)


def test_an_array_whose_header_ends_too_early_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3.0))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"}", b" ", 1))
    with pytest.raises(DataError, match=r"a\.npy: cannot be read as \.npy"):
        read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("content", [b'"\t', b'"\t\n\n'])
def test_a_table_whose_only_cell_is_white_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match="no cell with anything in it"):
        dialect_of(tmp_path / "a.csv")
