"""Loader of the configuration: from files and the command line to the typed tree.

Later ones win: common defaults, the family's defaults, its preset, `params.yaml` (common sections, then the family's
own), what the data set in use was imported with, then `--set section.key=value` and the named options.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from vaeforge.config.experiment import Experiment, RunConfig, Search, family_named, section_types
from vaeforge.config.retired import RETIRED
from vaeforge.config.strict_yaml import read_yaml
from vaeforge.config.tree import SECTIONS, Tree, assign, assigned, merge
from vaeforge.errors import ConfigError, nearest
from vaeforge_models.families import families
from vaeforge_models.settings import Settings

S = TypeVar("S", bound=Settings)


def load(
    root: Path,
    family: str | None = None,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    assignments: Iterable[str] = (),
    data_set: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The configuration of the project at `root`.

    Args:
        root: where `params.yaml` lies; without one the defaults hold.
        family: overrides the file's.
        preset: overrides the file's.
        overrides: dotted path to value, from named options.
        assignments: `path=value` texts, from `--set`.
        data_set: settings of the section `prepare` that the data set in use was imported with.

    Raises:
        ConfigError: with every problem found, each naming where it came from.
    """
    params = read_yaml(root / "params.yaml") if (root / "params.yaml").exists() else {}
    _refuse_unknown_sections(params)
    definition = family_named(family or _text(params, "family", "endoscopy"))
    chosen = preset or _text(params, "preset", "sample")
    if chosen not in definition.presets:
        allowed = ", ".join(sorted(definition.presets))
        raise ConfigError(f"preset: got {chosen!r}, must be one of {allowed}{nearest(chosen, definition.presets)}")
    tree: Tree = {"family": definition.name, "preset": chosen, **{section: {} for section in SECTIONS}, "search": {}}
    tree["beta"] = {"schedule": "constant"}
    sources: dict[str, str] = {}
    merge(tree, definition.defaults, f"defaults of {definition.name}", sources)
    merge(tree, definition.presets[chosen], f"preset {chosen}", sources)
    merge(tree, {k: v for k, v in params.items() if k in (*SECTIONS, "search")}, "params.yaml", sources)
    merge(tree, params.get(definition.name, {}), "params.yaml", sources)
    merge(tree, {"prepare": dict(data_set or {})}, "data set in use", sources)
    for path, value in {**assigned(assignments), **(overrides or {})}.items():
        assign(tree, path, value, "command line", sources)
    return build(tree, sources)


def _text(params: Tree, key: str, default: str) -> str:
    value = params.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"params.yaml: {key}: got {value!r}, must be a name")
    return value


def _refuse_unknown_sections(params: Tree) -> None:
    allowed = [*SECTIONS, "search", "family", "preset", *families()]
    problems = [
        f"params.yaml: unknown section {key!r}, must be one of {', '.join(allowed)}{nearest(key, allowed)}"
        for key in params
        if key not in allowed
    ]
    if problems:
        raise ConfigError(problems)


def build(tree: Tree, sources: Mapping[str, str]) -> RunConfig:
    """The typed tree, or every problem in it at once."""
    problems: list[str] = []
    family = family_named(tree["family"])
    types = section_types(family)
    typed = {
        section: _checked(kind, tree[section], f"{section}.", sources, problems) or kind()
        for section, kind in types.items()
    }
    rest = {section: tree[section] for section in SECTIONS if section not in types}
    identity = {"family": family.name, "preset": tree["preset"]}
    experiment = _checked(Experiment, {**identity, **typed, **rest}, "", sources, problems)
    search = _checked(Search, tree["search"], "search.", sources, problems)
    if problems or experiment is None or search is None:
        raise ConfigError(problems)
    return RunConfig(experiment=experiment, search=search)


def _checked(kind: type[S], values: Any, prefix: str, sources: Mapping[str, str], problems: list[str]) -> S | None:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems += [describe(item, prefix, sources, kind) for item in error.errors()]
        return None


def describe(item: Any, prefix: str, sources: Mapping[str, str], kind: type[Settings]) -> str:
    """One problem that pydantic found, as `where: path: got this, must be that`."""
    location = [str(part) for part in item["loc"]]
    if location[:1] == ["beta"] and len(location) == 3:  # the schedule's name stands between section and key
        location = [location[0], location[2]]
    path = prefix + ".".join(location)
    known = (path, f"{path}.schedule", path.rpartition(".")[0])
    where = next((sources[p] for p in known if p in sources), "configuration")
    return ": ".join(part for part in (where, path.rstrip("."), _rule(item, path, kind)) if part)


def _fields_beside(path: str, kind: type[Settings]) -> list[str]:
    """The keys that the section of `path` has."""
    section = path.split(".")[-2] if "." in path else ""
    nested = kind.model_fields.get(section)
    inner = nested.annotation if nested is not None else kind
    return list(getattr(inner, "model_fields", {}))


def _rule(item: Any, path: str, kind: type[Settings]) -> str:
    context, given = item.get("ctx") or {}, item["input"]
    bounds = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "a multiple of"}
    if item["type"] == "extra_forbidden" and path in RETIRED:
        return RETIRED[path]
    if item["type"] == "extra_forbidden":
        return f"unknown key{nearest(path.rsplit('.', 1)[-1], _fields_beside(path, kind))}"
    if item["type"] == "union_tag_invalid":
        tag = context["tag"]
        allowed = [name.strip().strip("'") for name in context["expected_tags"].split(",")]
        return f"got schedule {tag!r}, must be one of {', '.join(allowed)}{nearest(tag, allowed)}"
    for name, sign in bounds.items():
        if name in context:
            return f"got {given!r}, must be {sign} {context[name]}"
    if item["type"] == "literal_error":
        return f"got {given!r}, must be {context['expected']}"
    if item["type"] == "value_error":
        return str(context["error"])
    return f"got {given!r}: {item['msg']}"
