"""CITATION.cff: the fields that its format requires, and the version and licence of the package."""

import tomllib

import yaml

from project import ROOT
from vaeforge.version import __version__


def test_the_citation_is_of_this_version() -> None:
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(told)  # required by version 1.2.0 of the format
    assert (told["version"], told["license"]) == (__version__, project["license"])
