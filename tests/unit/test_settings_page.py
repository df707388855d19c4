"""`docs/settings.md` is what the code says: every setting with its default, what is allowed, and its meaning."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from project import ROOT
from vaeforge.config import reference
from vaeforge.config.experiment import Experiment, Search, section_types
from vaeforge_models.families import families


def test_the_page_is_what_the_code_says() -> None:
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert written == reference.page(), "run: python -m vaeforge.config.reference > docs/settings.md"


def paths(section: str, kind: type[BaseModel]) -> set[str]:
    """All keys of a section, found without the code that writes the page."""
    schema = kind.model_json_schema(mode="validation")
    found, waiting = set(), [(section, schema)]
    while waiting:
        above, node = waiting.pop()
        for name, one in node["properties"].items():
            target = schema["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
            if "properties" in target:
                waiting.append((f"{above}.{name}", target))
            else:
                found.add(f"{above}.{name}")
    return found


def test_no_setting_is_missing() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    fixed = ("optimizer", "training", "diffusion", "gates")
    expected = paths("search", Search)
    expected |= {path for section in fixed for path in paths(section, type(Experiment.model_fields[section].default))}
    for family in families().values():
        for section, kind in section_types(family).items():
            expected |= paths(section, kind)
    assert len(expected) > 90
    assert not {path for path in expected if f"| `{path}` |" not in page}


def test_what_is_allowed_is_said_in_words() -> None:
    assert reference.allowed(Annotated[int, Field(ge=1, le=9)]) == "whole number, ≥ 1, ≤ 9"
    assert reference.allowed(Annotated[int, Field(ge=1)] | None) == "whole number, ≥ 1, or `null`"
    assert reference.allowed(Literal["a", 8]) == "`a`, `8`"
    assert reference.allowed(float | None) == "number, or `null`"
    assert reference.allowed(tuple[Annotated[int, Field(gt=0)], ...]) == "list of: whole number, > 0"


def test_a_setting_without_a_meaning_is_refused() -> None:
    class Odd(BaseModel):
        mystery: int = 1

    with pytest.raises(ValueError, match=r"odd\.mystery: has no meaning"):
        list(reference._fields("odd", Odd))
