"""Arrays out of JSON without an object for each number: the same as by way of lists, or left to that way."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaeforge.serve.json_numbers import with_array

EVENT = (2, 3)
ONE = [[1, 2, 3], [4, 5, 6]]
NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=100, deadline=None)
@given(st.lists(NUMBERS, min_size=6, max_size=6), st.sampled_from([None, "cat", [0.5, 1], ["[", "]]"]]))
def test_numbers_are_those_of_lists(values: list[float], condition: Any) -> None:
    x = [[values[:3], values[3:]]]
    document = {"inputs": {"x": x}, "outputs": ["score"]} | ({} if condition is None else {"condition": condition})
    found = with_array(json.dumps(document).encode(), EVENT)
    if found is None:  # whole numbers beyond 64 bits are left to lists
        assert any(isinstance(value, int) and abs(value) >= 2**63 for value in values)
        return
    np.testing.assert_array_equal(found["inputs"].pop("x"), np.asarray(x, np.float64))
    assert found == {**document, "inputs": {}}


@pytest.mark.parametrize(
    "x",
    [
        ONE,  # a single sample
        [[[1, 2, 3], [4, 5, None]]],
        [[[1, 2, 3], [4, 5, True]]],
        [[[1, 2, 3], [4, 5, "6"]]],
        [[[1, 2, 3], [4, 5]]],
        [[[1, 2, 3], [4, 5, [6]]]],  # flattened, these have as many numbers as they should
        [[[1, 2, 3], [4, [], [5, 6]]]],
        [[[1, [2, 3], []], [4, 5, 6]]],
        [ONE, [[1, 2, 3]]],
        [ONE, {"a": 1}],
        [ONE, 1],
        [],
        {"base64": "", "shape": [1], "dtype": "uint8"},
        7,
    ],
)
def test_what_is_no_regular_array_is_left_to_others(x: Any) -> None:
    assert with_array(json.dumps({"inputs": {"x": x}}).encode(), EVENT) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"inputs": {"x": [%s], "x": [%s]}}',
        '{"inputs": {"x": [%s]}, "inputs": {"x": [%s]}}',
        '{"inputs": {"x": [%s]}, "condition": "\\u005b", "a": [%s]}',
        '{"inputs": {"x": [%s, NaN]}}',
        '{"inputs": {"x": [%s]}',
        '[{"inputs": {"x": [%s]}}]',
        '{"inputs": [%s]}',
        "",
        "null",
    ],
)
def test_odd_documents_are_left_to_others(text: str) -> None:
    assert with_array(text.replace("%s", json.dumps(ONE)).encode(), EVENT) is None


def test_brackets_in_texts_count_as_texts() -> None:
    document = {"inputs": {"x": [ONE]}, "condition": "[[ü", "outputs": ["[", "mu"]}
    found = with_array(json.dumps(document, ensure_ascii=False).encode(), EVENT)
    assert found is not None and found["condition"] == "[[ü" and found["outputs"] == ["[", "mu"]
