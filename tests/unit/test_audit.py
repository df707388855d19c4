"""The audit of the pinned packages: nothing known against them is left without a word, and its list is of this lock."""

import csv
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "audit/audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_known_against_the_pins_has_been_assessed(audit: ModuleType) -> None:
    held, assessed = (json.loads((ROOT / "audit" / f"{name}.json").read_text()) for name in ("advisories", "assessed"))
    found = audit.findings(audit.pins(), [*held["advisories"], *assessed["advisories"]])
    assert [one["id"] for one in found if not one.get("here")] == []


def test_the_list_of_licences_is_of_the_lock(audit: ModuleType) -> None:
    with (ROOT / "audit/licences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["package"]: row["version"] for row in rows} == audit.pins(), "run `make audit`"


@pytest.mark.parametrize(
    ("version", "affected"),
    [("0.9", False), ("1.0", True), ("1.4", True), ("1.5", False), ("2.0", False), ("3.1", True), ("3.2", False)],
)
def test_a_version_is_affected_between_what_brought_it_and_what_mended_it(
    audit: ModuleType, version: str, affected: bool
) -> None:
    ranges = [[{"introduced": "1.0"}, {"fixed": "1.5"}], [{"introduced": "3.0"}, {"last_affected": "3.1"}]]
    assert audit.affects(ranges, version) == affected


def test_what_nobody_has_mended_affects_all_later_versions(audit: ModuleType) -> None:
    assert audit.affects([[{"introduced": "0"}]], "7") and not audit.affects([[{"introduced": "8"}]], "7")
    assert audit.affects([[{"introduced": "0"}, {"fixed": "1"}, {"introduced": "6"}]], "7")


def test_a_finding_about_another_package_is_none(audit: ModuleType) -> None:
    known = [{"package": "a", "id": "X-1", "ranges": [[{"introduced": "0"}]]}]
    assert audit.findings({"a": "1"}, known) == known
    assert audit.findings({"b": "1"}, known) == []
