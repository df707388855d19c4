"""Groups: read, told by a pattern, joined, and divided without one ever lying in two parts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaeforge.data.groups import divided, grouped_by, merged, read_groups, write_groups
from vaeforge.errors import ConfigError, DataError


def test_groups_are_read_as_they_were_written_below_their_data_set(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write_groups(tmp_path / "set", {"b/2.png": 'x, "y"', "a/1.png": "x"})
    assert read_groups(tmp_path) == {"set/a/1.png": "x", "set/b/2.png": 'x, "y"'}
    (tmp_path / "set/groups.csv").write_text("item,group\na,1\na,2\n")
    with pytest.raises(DataError, match="'a' belongs to '1' and '2'"):
        read_groups(tmp_path)


def test_a_pattern_names_the_group() -> None:
    names = ["sub-01_run-1", "sub-01_run-2", "sub-02_run-1"]
    expected = dict(zip(names, ["01", "01", "02"], strict=True))
    assert grouped_by(r"sub-(\d+)", names) == expected
    assert grouped_by(r"(?:x)?sub-(?P<group>\d+)", names) == expected
    assert grouped_by(r"sub-\d+", names)["sub-02_run-1"] == "sub-02"
    with pytest.raises(ConfigError, match="matches 1 names, must match all; not sub-01_run-1, sub-01_run-2"):
        grouped_by("sub-02", names)
    with pytest.raises(ConfigError, match="no regular expression"):
        grouped_by("(", names)


def test_what_shares_a_label_in_either_labeling_is_one_group() -> None:
    # 0 and 1 share a person, 1 and 3 a picture
    assert merged("aabc", ["p", "q", "r", "q"]).tolist() == [0, 0, 1, 0]


def test_single_items_have_the_wanted_sizes() -> None:
    parts = divided(range(10), [5, 2, 3], np.random.default_rng(0))
    assert np.bincount(parts).tolist() == [5, 2, 3]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 99))
def test_no_group_is_ever_in_two_parts(groups: list[int], seed: int) -> None:
    wanted = [len(groups) // 2, len(groups) // 4, len(groups) - len(groups) // 2 - len(groups) // 4]
    parts = divided(groups, wanted, np.random.default_rng(seed))
    assert all(len({part for part, own in zip(parts, groups, strict=True) if own == group}) == 1 for group in groups)
