"""What a search and its trials are called in MLflow, within its limits."""

import json
from dataclasses import replace

from ledger_events import event
from vaeforge.ledger.events import LedgerEvent, SearchHeader
from vaeforge.provenance import PatchedGitState
from vaeforge.track.mlflow_writer import TAG_CHARACTERS, dataset_input, search_tags, trial_tags
from vaeforge.track.tracked_search import TrackedSearch

SEARCH = SearchHeader(time=1.0, name="s", family="endoscopy", space={"x": "ü"}, data_identity="ab" * 32, seed=0)


def tracked(*events: LedgerEvent) -> TrackedSearch:
    search = TrackedSearch()
    for one in (SEARCH, *events):
        search.take(one)
    return search


def test_the_digest_is_dvcs_hash_else_the_start_of_the_identity() -> None:
    dvc = "0123456789abcdef0123456789abcdef.dir"
    assert dataset_input("data/endoscopy", "ab" * 32, dvc).dataset.digest == dvc
    assert dataset_input("data/endoscopy", "ab" * 32, None).dataset.digest == "ab" * 16


def test_a_long_space_is_kept_whole_in_pieces() -> None:
    space = {"x": ["ü" * 9000, "y" * 9000]}
    tags = search_tags(replace(SEARCH, space=space), tracked())
    pieces = [tags["vaeforge.space"], tags["vaeforge.space.1"], tags["vaeforge.space.2"]]
    assert json.loads("".join(pieces)) == space
    assert max(map(len, tags.values())) <= TAG_CHARACTERS


def test_unknown_lineage_is_left_out_and_known_is_kept() -> None:
    tags = search_tags(SEARCH, tracked())
    assert not {"mlflow.source.git.commit", "vaeforge.git.dirty", "vaeforge.data_hash"} & tags.keys()
    known = search_tags(replace(SEARCH, git=PatchedGitState("c0", True)), tracked())
    assert (known["mlflow.source.git.commit"], known["vaeforge.git.dirty"]) == ("c0", "true")
    assert (known["vaeforge.data_identity"], known["vaeforge.seed"]) == ("ab" * 32, "0")


def test_a_crash_keeps_the_end_of_its_traceback() -> None:
    search = tracked(event("crashed", 2.0, trial=0, attempt=1, cause="oom", traceback="x" * 9000 + "END"))
    tags = trial_tags(SEARCH, search, search.trials[0])
    assert tags["vaeforge.traceback"].endswith("END")
    assert len(tags["vaeforge.traceback"]) == TAG_CHARACTERS
    assert (tags["vaeforge.last_crash"], "vaeforge.cause" in tags) == ("oom", False)


def test_a_trial_names_those_that_it_was_trained_with_as_one_model() -> None:
    told = [
        event("reported", 2.0, trial=1, epoch=n, metrics={}, beside=beside) for n, beside in ((1, [9, 3]), (2, [4]))
    ]
    search = tracked(*told, event("reported", 3.0, trial=2, epoch=1, metrics={}))
    tags = trial_tags(SEARCH, search, search.trials[1])
    assert (tags["vaeforge.lanes"], tags["vaeforge.beside"]) == ("3", "3 4 9")
    assert not {"vaeforge.lanes", "vaeforge.beside"} & set(trial_tags(SEARCH, search, search.trials[2]))


def test_a_trial_that_is_tried_again_has_no_end_any_more() -> None:
    ended = event("finished", 3.0, trial=0, state="failed", cause="disk", value=2.0, epoch=1, seconds=1.0)
    first = event("submitted", 2.0, trial=0, params={"x": 1}, group="g")
    search = tracked(first, ended, event("retried", 4.0, trial=0, cause="disk"))
    tags = trial_tags(SEARCH, search, search.trials[0])
    assert (tags["vaeforge.cause"], tags["vaeforge.value"], tags["vaeforge.state"]) == ("", "", "submitted")
    again = tracked(first, ended, event("retried", 4.0, trial=0, cause="disk"), replace(ended, state="completed"))
    assert trial_tags(SEARCH, again, again.trials[0])["vaeforge.state"] == "completed"


def test_the_parent_is_described_by_what_won_on_which_data() -> None:
    params = {"beta.schedule": "linear", "model.latent_dim": 8}
    told = [
        event("submitted", 2.0, trial=0, params=params, group="g"),
        event("finished", 3.0, trial=0, state="completed", value=-5.25, epoch=1, seconds=1.0),
        event("ended", 4.0, reason="trials", seconds=3.0, trials=1, best=0, value=-5.25),
    ]
    text = search_tags(SEARCH, tracked(*told))["mlflow.note.content"]
    assert "1 completed." in text and "report.html" in text
    assert "Best trial: 0, val/nelbo -5.25, with `beta.schedule` linear, `model.latent_dim` 8." in text
    assert "no trial yet" in search_tags(SEARCH, tracked())["mlflow.note.content"]
