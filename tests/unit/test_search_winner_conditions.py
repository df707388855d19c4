"""How a winner was trained, as its manifest says it: what a reproduction has to know to be judged."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reported import header, written_search
from vaeforge.ledger.history import read_history
from vaeforge.manifests.trained_model import TrainingConditions
from vaeforge.records import to_json
from vaeforge.search.results.winner_manifest import _training


def conditions(root: Path, *beside: list[int] | None) -> TrainingConditions:
    """Those of a trial that was trained beside these others, an epoch each."""
    epoch = {"event": "reported", "trial": 0, "metrics": {}, "seconds": 2.0, "core_seconds": 4.0}
    lines = [epoch | {"epoch": n, "beside": others} for n, others in enumerate(beside, 1)]
    search = header("s", settings={"search": {"workers": 1}})
    path = written_search(root, "s", [search, *lines]).search("s") / "ledger.jsonl"
    history = read_history(path)
    plan: Any = SimpleNamespace(ledger=path)
    assert history.header is not None
    return _training(plan, history.header, history.trials[0])


@pytest.mark.parametrize(("beside", "lanes"), [([None, [3], [1, 3], None], 3), ([None, None], None)])
def test_a_manifest_says_of_how_many_lanes_the_winner_was_one(
    tmp_path: Path, beside: list[list[int] | None], lanes: int | None
) -> None:
    found = conditions(tmp_path, *beside)
    assert (found.lanes, found.threads, found.workers) == (lanes, 2, 1)
    assert ("lanes" in to_json(found)) == (lanes is not None)  # older builds read those without
