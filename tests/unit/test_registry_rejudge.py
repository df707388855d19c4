"""What is read back from versions before they are compared, and the tables that people see."""

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from vaeforge.evaluation.per_sample_scores import PerSampleScores
from vaeforge.records import to_json
from vaeforge.registry import tables, version_files
from vaeforge.registry.audit import Entry
from vaeforge.registry.error_rates import ErrorRates
from vaeforge.registry.listing import ModelSummary, VersionDetail, VersionDifference, VersionSummary, _flat
from vaeforge.registry.verdict import RuleOutcome, Verdict
from vaeforge.registry.version_files import best_incumbent

IDENTITY = "d" * 64


def version(number: int, nelbo: float | None, identity: str = IDENTITY) -> Any:
    tags = {"vaeforge.data_identity": identity} | ({} if nelbo is None else {"vaeforge.val_nelbo": repr(nelbo)})
    return SimpleNamespace(name="vaeforge-lipid", version=number, tags=tags)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version carries a manifest of the number that its tag says, but for version 9."""

    def manifests(_: Any, one: Any) -> Any:
        found = 7.0 if one.version == 9 else float(one.tags["vaeforge.val_nelbo"])
        return SimpleNamespace(model=SimpleNamespace(metrics={"val/nelbo": found}), evaluation=None)

    evidence = PerSampleScores(np.zeros(4), np.zeros(4), np.zeros(4, dtype=np.int64), np.arange(4))
    monkeypatch.setattr(version_files, "version_manifests", manifests)
    monkeypatch.setattr(version_files, "scores_of_version", lambda *_: evidence)


@pytest.mark.usefixtures("files")
def test_the_best_version_is_the_one_of_the_lowest_validation_nelbo_ever_on_these_data() -> None:
    known = [version(1, 5.0), version(2, 3.0), version(3, 4.0), version(4, 1.0, "e" * 64)]
    client: Any = None
    best = best_incumbent(client, known, IDENTITY, None)
    assert best is not None and best.name == "version 2" and best.evidence is not None
    other = best_incumbent(client, known, IDENTITY, "2")
    assert other is not None and other.name == "version 3"
    assert best_incumbent(client, known, "f" * 64, None) is None
    assert best_incumbent(client, known[:1], IDENTITY, "1") is None


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("nelbo", [None, float("nan")])
def test_a_version_of_unknown_nelbo_makes_the_best_one_unknown(nelbo: float | None) -> None:
    client: Any = None
    best = best_incumbent(client, [version(1, 5.0), version(2, nelbo)], IDENTITY, None)
    assert best is not None and best.evidence is None
    assert best.name == "version 2" and "no finite tag" in best.problem


@pytest.mark.usefixtures("files")
def test_a_tag_that_its_manifest_denies_is_not_believed() -> None:
    client: Any = None
    best = best_incumbent(client, [version(9, -100.0)], IDENTITY, None)
    assert best is not None and best.evidence is None
    assert best.problem == "its tag vaeforge.val_nelbo says -100, its manifest 7.0"


def test_nested_settings_become_dotted_names() -> None:
    assert _flat({"a": {"b": 1, "c": {"d": None}}, "e": [1, 2]}) == {"a.b": 1, "a.c.d": None, "e": "[1, 2]"}


def test_tables_show_every_rule_and_row() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    failed = RuleOutcome("auroc", "0.5 [low]", ">= 0.8", False, ErrorRates(0.0003, 0.2, 9), comparative=True)
    passed = RuleOutcome("parity", "shown", "shown", True)
    console.print(tables.verdict_table(Verdict((failed,), (passed,), ("calibration: not applicable",))))
    console.print(tables.difference_table([VersionDifference("params", "beta", 1.0, None)], "1", "2"))
    console.print(tables.models_table([ModelSummary("m", 2, "1", None)]))
    text = console.export_text()
    assert "8 refused on this test set before" in text and "the test set is used up" in text
    assert "0.5 [low]" in text and "failed" in text and "passed" in text and "skipped" in text
    assert "version 2" in text and "beta" in text


def test_a_version_in_detail_is_one_flat_line_of_json() -> None:
    summary = VersionSummary(
        "m", "2", ("champion",), False, "2026-01-01", -1.5, None, 4.0, 11.0, 0.3, IDENTITY, "champion: x", "kvasir"
    )
    entry = Entry(1, "2", "promote", "done", "anna@lab", "better", None, "2", "", "2026-01-01")
    line = to_json(VersionDetail(summary, "r", "a model", {"vaeforge.run": "r"}, (entry,)))
    assert list(line) == [
        *("model", "version", "aliases", "archived", "created", "val_nelbo", "test_nll", "active_units", "test_look"),
        *("test_power", "data_identity", "verdict", "data_set", "sample", "test_auroc"),
        *("run", "description", "tags", "audit"),
    ]
    assert line["aliases"] == ["champion"] and line["audit"][0]["action"] == "promote"
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables.version_view(VersionDetail(summary, "r", "a model", {"vaeforge.run": "r"}, (entry,))))
    console.print(tables.versions_table([summary], "m"))
    text = console.export_text()
    assert "anna@lab" in text and "a model" in text and "-1.5" in text and "champion" in text
    assert "11, used up" in text and "kvasir dddddddd" in " ".join(text.split())
    assert "not comparable" not in text


def test_a_list_says_where_likelihoods_cannot_be_compared() -> None:
    one = VersionSummary("m", "1", (), False, "2026-01-01", -1.5, None, 4.0, 1.0, None, IDENTITY, None)
    sizes = [replace(one, sample="3x96x96"), replace(one, version="2", sample="3x32x32", test_auroc=0.778)]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables.versions_table(sizes, "m"))
    text = console.export_text()
    assert "3x96x96" in text and "0.778" in text and "other sizes of samples are not comparable" in text
