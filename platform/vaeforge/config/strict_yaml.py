"""Strict YAML: a duplicate key is an error, and 1e-3 is a number."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from vaeforge.errors import ConfigError

# PyYAML lets through what Python says of numbers and dates that there are not (2001-13-45), and of deep nesting
DAMAGE = (yaml.YAMLError, ValueError, OverflowError, RecursionError)


class _StrictLoader(yaml.SafeLoader):
    """Safe loading, without PyYAML's two surprises."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    "while constructing a mapping", node.start_mark, "found a key that is no text", key_node.start_mark
                )
            if key in seen:
                line = key_node.start_mark.line + 1
                raise ConfigError(f"{node.start_mark.name}: line {line}: the key {key!r} occurs twice; keep one")
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 as PyYAML reads it wants a dot in a float, so that 1e-3 would be text
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file at `path`.

    Raises:
        ConfigError: if the file is missing, not YAML, not a mapping, or holds a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    try:
        loader = _StrictLoader(text)
        loader.name = str(path)
        content = loader.get_single_data()
    except DAMAGE as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: must hold a mapping with text keys")
    return content


def parse_scalar(text: str) -> Any:
    """What `text` means as a YAML value: a number, true or false, a list, or text."""
    try:
        return _StrictLoader(text).get_single_data()
    except DAMAGE:
        return text
