"""Groups of items: rules in their order, parts that are kept, and that no group is ever in two parts."""

import re
from pathlib import Path

import numpy as np
import pytest

from vaeforge.config.prepare import Prepare
from vaeforge.data.group_rules import Grouping, GroupRequest, group_items, read_grouping, write_grouping
from vaeforge.data.group_split import divide_groups
from vaeforge.errors import ConfigError, DataError

RUNS = [f"sub-{person:02}_run-{run}" for person in range(3) for run in (1, 2)]


def test_runs_and_sessions_of_bids_names_are_of_one_person() -> None:
    paths = [*RUNS, "sub-02/ses-1/func/sub-02_ses-1_bold"]
    found = group_items(paths, GroupRequest())
    assert [found.groups[item] for item in paths] == ["sub-00"] * 2 + ["sub-01"] * 2 + ["sub-02"] * 3
    assert (found.count, found.joins) == (3, True)


def test_a_pattern_goes_before_names_and_its_first_parenthesis_is_the_group() -> None:
    found = group_items(["normal/p1/a.png", "polyp/p1/b.png", "normal/p2/c.png"], GroupRequest(pattern="/(p\\d)/"))
    assert list(found.groups.values()) == ["p1", "p1", "p2"]
    assert group_items(RUNS, GroupRequest(pattern="none")).count == 6


def test_a_pattern_that_misses_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="matches 1 names, must match all; not other"):
        group_items(["p1_a", "other"], GroupRequest(pattern="^p\\d"))


def test_a_column_of_a_table_says_who_belongs_together(tmp_path: Path) -> None:
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tfamily\nsub-00\tA\nsub-01\tB\nsub-02\tA\n", encoding="utf-8")
    found = group_items(RUNS, GroupRequest(column="family"), [table])
    assert list(found.groups.values()) == ["A", "A", "B", "B", "A", "A"]
    with pytest.raises(DataError, match="no table of the source has a column 'famly'; did you mean 'family'"):
        group_items(RUNS, GroupRequest(column="famly"), [table])


def test_names_that_begin_with_a_participant_are_theirs(tmp_path: Path) -> None:
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tage\n1\t30\n11\t40\n", encoding="utf-8")
    found = group_items(["1_run1", "11_run1", "11_run2"], GroupRequest(), [table])
    assert list(found.groups.values()) == ["1", "11", "11"]


def test_names_that_differ_in_a_run_only_are_asked_about() -> None:
    found = group_items(["anna_run1", "anna_run2", "bert_run1"], GroupRequest())
    assert re.search(r"anna_run1 = anna_run2.*--groups none", found.question)
    assert list(found.groups.values()) == ["anna", "anna", "bert_run1"]  # assumed unless the user says otherwise
    assert not group_items(["anna", "bert"], GroupRequest()).question


def test_parts_of_folders_are_kept_and_validation_is_taken_from_train() -> None:
    items = [f"train/sub-{n}.npz" for n in range(8)] + ["test/sub-8.npz", "test/sub-9.npz"]
    grouping = group_items(items, GroupRequest(split="folders"))
    parts = divide_groups(items, grouping, np.ones(10, dtype=np.int64), Prepare(validation=0.2, test=0.2))
    # a share of 0.2 / 0.8 of the eight people in train
    assert np.bincount(parts).tolist() == [6, 2, 2] and (parts[8:] == 2).all()


def test_a_person_in_two_folders_is_refused() -> None:
    with pytest.raises(DataError, match="sub-1 in test and train"):
        group_items(["train/sub-1_run-1.npz", "test/sub-1_run-2.npz"], GroupRequest(split="folders"))


def test_groups_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = Grouping({"a, b": "1", "c": "2"}, "", {"a, b": "train", "c": "test"})
    write_grouping(tmp_path, written)
    found = read_grouping(tmp_path, ["a, b", "c"])
    assert (found.groups, found.parts) == (written.groups, written.parts)
