"""Audit of the pinned packages: their licences, and what is publicly known against these versions. Run by `make audit`.

Works offline. What is known against packages is in `advisories.json`, an extract of PyPA's advisory database
(https://github.com/pypa/advisory-database, CC BY 4.0) that says of which day it is; `--from FOLDER` makes it anew of a
newer copy of that database. `assessed.json` holds what came from elsewhere, and what each finding means here. Exits
with 1 where a finding or a licence has not been assessed.
"""

import argparse
import csv
import json
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import yaml
from packaging.version import Version

HERE = Path(__file__).parent
LOCK = HERE.parent / "requirements.lock"
ADVISORIES, ASSESSED, LICENCES = (HERE / name for name in ("advisories.json", "assessed.json", "licences.csv"))
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s#;]+)", re.MULTILINE)
CLASSIFIER = "License :: OSI Approved :: "
# permissive and weak copyleft ones, which ask nothing of who runs or links to a package unchanged
FREE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|Unlicense|Zlib|HPND|CNRI|0BSD|LGPL|Lesser)",
    re.IGNORECASE,
)


def plain(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    return {plain(name): version for name, version in PIN.findall(LOCK.read_text(encoding="utf-8"))}


def licence_of(package: Distribution) -> str:
    """What a package's metadata say of its licence, in one line."""
    given = package.metadata.get("License-Expression") or ""
    named = [one.removeprefix(CLASSIFIER) for one in package.metadata.get_all("Classifier") or [] if CLASSIFIER in one]
    first = (package.metadata.get("License") or "").strip().partition("\n")[0][:80]
    return given or "; ".join(named) or first or "not said"


def write_licences(packages: dict[str, str]) -> list[str]:
    """Write `licences.csv`; returns the packages whose licence is not of a kind that asks nothing."""
    rows, odd = [], []
    for name in sorted(packages):
        try:
            found = licence_of(distribution(name))
        except PackageNotFoundError:
            found = "not installed"
        rows.append((name, packages[name], found))
        if not FREE.search(found):
            odd.append(f"{name} {packages[name]}: {found}")
    with LICENCES.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("package", "version", "licence"), *rows])
    return odd


def extract(database: Path, day: str) -> None:
    """Write `advisories.json` of a copy of the database: what it holds of the packages of the lock."""
    packages, entries = pins(), []
    for path in sorted((database / "vulns").rglob("*.yaml")):
        if plain(path.parent.name) not in packages:
            continue
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        ranges = [
            [{kind: str(version) for kind, version in event.items()} for event in one["events"]]
            for affected in content.get("affected", [])
            for one in affected.get("ranges", [])
            if one["type"] == "ECOSYSTEM"
        ]
        if not content.get("withdrawn"):
            entry = {"package": plain(path.parent.name), "id": content["id"], "aliases": content.get("aliases", [])}
            entries.append({**entry, "ranges": ranges})
    source = {"source": "PyPA advisory database", "day": day, "packages": len(packages), "advisories": entries}
    ADVISORIES.write_text(json.dumps(source, indent=1) + "\n", encoding="utf-8")


def affects(ranges: list[list[dict[str, str]]], version: str) -> bool:
    """Whether a version lies between an `introduced` and the next `fixed` (exclusive) or `last_affected`."""
    for events in ranges:
        begun: str | None = None
        for event in [*events, {"fixed": "999999"}]:
            begun = event.get("introduced", begun)
            end = event.get("fixed", event.get("last_affected"))
            if begun is None or end is None:
                continue
            after, before = begun == "0" or Version(version) >= Version(begun), Version(version) < Version(end)
            if after and (before or ("last_affected" in event and Version(version) == Version(end))):
                return True
            begun = None
    return False


def findings(packages: dict[str, str], known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The advisories that are about the pinned versions."""
    by_id = {one["id"]: one for one in known}  # a later one of the same id says what it means here
    there = [one for one in by_id.values() if one["package"] in packages]
    return [one for one in there if affects(one["ranges"], packages[one["package"]])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="database", type=Path, help="a newer copy of the advisory database")
    parser.add_argument("--day", help="with --from: of which day it is, YYYY-MM-DD")
    given = parser.parse_args()
    if given.database:
        extract(given.database, given.day or parser.error("--day: is needed with --from"))
    packages = pins()
    held, assessed = (json.loads(path.read_text(encoding="utf-8")) for path in (ADVISORIES, ASSESSED))
    odd = [line for line in write_licences(packages) if line.partition(" ")[0] not in assessed["licences"]]
    found = findings(packages, [*held["advisories"], *assessed["advisories"]])
    unknown = [one for one in found if "here" not in one]
    about = f"{held['source']} of {held['day']} ({len(held['advisories'])} about them)"
    print(f"{len(packages)} packages; advisories: {about}")
    print(f"and {len(assessed['advisories'])} noted by hand until {assessed['day']}; nothing later is known here")
    for one in found:
        print(f"{one['package']} {packages[one['package']]}: {one['id']}: {one.get('here', 'NOT ASSESSED')}")
    for line in odd:
        print(f"licence NOT ASSESSED: {line}")
    return 1 if unknown or odd else 0


if __name__ == "__main__":
    sys.exit(main())
