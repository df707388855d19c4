"""Tree of settings before they are typed: layers laid over one another, and values assigned by dotted path."""

from collections.abc import Iterable, Mapping
from typing import Any

from vaeforge.config.strict_yaml import parse_scalar
from vaeforge.errors import ConfigError, nearest

SECTIONS = ("prepare", "model", "beta", "optimizer", "training", "diffusion", "gates")
Tree = dict[str, Any]


def assigned(assignments: Iterable[str]) -> Tree:
    """`path=value` texts as a mapping."""
    result: Tree = {}
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"--set: got {text!r}, must be section.key=value, for instance model.latent_dim=32")
        result[path.strip()] = parse_scalar(value.strip())
    return result


def merge(tree: Tree, layer: Mapping[str, Any], source: str, sources: dict[str, str], prefix: str = "") -> None:
    """Lay `layer` over `tree` in place, remembering in `sources` where each dotted path came from."""
    if not isinstance(layer, Mapping):
        raise ConfigError(f"{source}: {prefix.rstrip('.') or 'the document'}: must be a mapping")
    for key, value in sorted(layer.items(), key=lambda item: item[0] != "schedule"):
        if not isinstance(key, str):
            raise ConfigError(f"{source}: {prefix}{key}: got a key that is no text; write it in quotes, or remove it")
        if isinstance(value, Mapping) and prefix == "":
            merge(tree.setdefault(key, {}), value, source, sources, f"{key}.")
        elif prefix == "" and key in (*SECTIONS, "search"):
            raise ConfigError(f"{source}: {key}: got {value!r}, must be a mapping")
        else:
            _set(tree, prefix.rstrip("."), key, value)
            sources[prefix + key] = source


def assign(tree: Tree, path: str, value: Any, source: str, sources: dict[str, str]) -> None:
    """Set the dotted `path` in `tree`; its section must exist."""
    section, dot, key = path.partition(".")
    if not dot or section not in (*SECTIONS, "search"):
        allowed = (*SECTIONS, "search")
        raise ConfigError(
            f"{source}: {path}: must be section.key with one of the sections {', '.join(allowed)}"
            f"{nearest(section, allowed)}"
        )
    _set(tree[section], section, key, value)
    sources[path] = source


def _set(content: Tree, section: str, key: str, value: Any) -> None:
    """Set one key; another beta schedule starts from its own defaults, because schedules share no parameters."""
    if (section, key) == ("beta", "schedule") and content.get(key) != value:
        content.clear()
    content[key] = value
