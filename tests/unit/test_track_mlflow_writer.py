"""What a search and its trials are called in MLflow, within its limits."""

import json
from typing import Any

from vaeforge.track.ledger_reader import Fold

from vaeforge.track.mlflow_writer import TAG_CHARACTERS, dataset_input, ledger_id, search_tags, trial_tags

SEARCH: dict[str, Any] = {
    "event": "search",
    "time": 1.0,
    "name": "s",
    "family": "endoscopy",
    "space": {"x": "ü"},
    "settings": {},
    "data_identity": "ab" * 32,
    "data_hash": None,
    "data_source": "data/endoscopy",
    "git": {"commit": None, "dirty": None},
    "seed": 0,
}


def fold_of(search: dict[str, Any], *events: dict[str, Any]) -> Fold:
    fold = Fold()
    for event in (search, *events):
        fold.take(event)
    return fold


def test_the_digest_is_dvcs_hash_else_the_start_of_the_identity() -> None:
    dvc = "0123456789abcdef0123456789abcdef.dir"
    assert dataset_input(SEARCH | {"data_hash": dvc}).dataset.digest == dvc
    assert dataset_input(SEARCH).dataset.digest == "ab" * 16


def test_a_long_space_is_kept_whole_in_pieces() -> None:
    space = {"x": ["ü" * 9000, "y" * 9000]}
    tags = search_tags(SEARCH | {"space": space}, fold_of(SEARCH))
    pieces = [tags["vaeforge.space"], tags["vaeforge.space.1"], tags["vaeforge.space.2"]]
    assert json.loads("".join(pieces)) == space
    assert max(map(len, tags.values())) <= TAG_CHARACTERS


def test_unknown_lineage_is_left_out_and_known_is_kept() -> None:
    tags = search_tags(SEARCH, fold_of(SEARCH))
    assert not {"mlflow.source.git.commit", "vaeforge.git.dirty", "vaeforge.data_hash"} & tags.keys()
    known = search_tags(SEARCH | {"git": {"commit": "c0", "dirty": True}}, fold_of(SEARCH))
    assert (known["mlflow.source.git.commit"], known["vaeforge.git.dirty"]) == ("c0", "true")
    assert (known["vaeforge.data_identity"], known["vaeforge.seed"]) == ("ab" * 32, "0")


def test_searches_of_one_name_are_told_apart_by_their_first_event() -> None:
    assert ledger_id(SEARCH) != ledger_id(SEARCH | {"time": 2.0})


def test_a_crash_keeps_the_end_of_its_traceback() -> None:
    crash = {"event": "crashed", "time": 2.0, "trial": 0, "attempt": 1, "cause": "oom", "traceback": "x" * 9000 + "END"}
    fold = fold_of(SEARCH, crash)
    tags = trial_tags(SEARCH, fold, fold.trials[0])
    assert tags["vaeforge.traceback"].endswith("END")
    assert len(tags["vaeforge.traceback"]) == TAG_CHARACTERS
    assert (tags["vaeforge.last_crash"], "vaeforge.cause" in tags) == ("oom", False)
