"""A search that an earlier build began, see `tests/ledgers/README.md`, goes on in this one, on the same data."""

import json
import re
from pathlib import Path

import pytest

from project import SmallProject, check_invariants
from vaeforge.ledger.history import read_history

LEDGERS = Path(__file__).parents[1] / "ledgers"


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_search_whose_budget_was_used_up_by_an_earlier_build_goes_on_with_a_larger_one(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    project = SmallProject(tmp_path)
    ledger = tmp_path / "artifacts/searches/budget/ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    kept = (LEDGERS / "budget.jsonl").read_text()
    ledger.write_text(kept)
    same = ("--name", "budget", "--resume", "true", "--scheduler", "none", "--set", "training.steps_per_epoch=20")
    quick = ("--offline", "true", "--register", "false")
    limited = ("tune", *same, "--trials", "4", "--budget", "core_hours=0.0005", *quick)
    refused = project.call(*limited, code=2)
    told = re.search(r"cannot be resumed: the data is another: (\w+)…, now \w+…; start", refused)
    assert told, refused  # pictures are prepared by other rules since
    manifest = json.loads((tmp_path / "artifacts/prepared/endoscopy/manifest.json").read_text())
    (earlier,) = {json.loads(line)["data_identity"] for line in kept.splitlines() if told[1] in line}
    ledger.write_text(kept.replace(earlier, manifest["data_identity"]))
    before = read_history(ledger)
    assert "its budget is used up" in project.call(*limited, code=2)
    project.run("tune", *same, "--trials", "4", "--budget", "core_hours=1", *quick, **cluster)
    check_invariants(project, "budget", 4, taken=frozenset(before.trials))
    after = read_history(ledger)
    assert after.ended is not None and after.ended.reason == "trials"
    assert after.counts() == {"stopped": 3, "completed": 1}
    for number, trial in before.trials.items():  # the earlier session's workers are gone, all else stays
        assert vars(after.trials[number]) == vars(trial) | {"host": None, "generation": None}
    assert after.core_seconds > before.core_seconds and after.wall_seconds > before.wall_seconds
    (row,) = [json.loads(line) for line in project.call("searches", "--json", "true").splitlines()]
    assert (row["state"], row["trials"]) == ("ended", {"completed": 1, "stopped": 3})
