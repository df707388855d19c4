"""Groups of a data set: written, read, and told by a pattern."""

from pathlib import Path

import pytest

from vaeforge.data.groups import grouped_by, read_groups, write_groups
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
