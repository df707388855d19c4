"""Plug-ins: modules of a package of ours, and entry points that other installed packages bring.

A plug-in is loaded when it is asked for by its name, never because another one is; samplers and schedulers, whose
settings make up the form of a space file, are all loaded together (`search/strategy_registry.py`).
"""

import importlib
import pkgutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from vaeforge.errors import ConfigError, nearest

Plugin = TypeVar("Plugin")


class Group(StrEnum):
    """The groups of entry points, one for each kind of plug-in."""

    FAMILIES = "vaeforge.families"  # found by vaeforge_models.families, which knows nothing of this package
    LAYOUTS = "vaeforge.layouts"
    IMPORT_FORMATS = "vaeforge.import_formats"
    FILE_FORMATS = "vaeforge.file_formats"
    TASKS = "vaeforge.tasks"
    VALIDATION_METRICS = "vaeforge.validation_metrics"
    EVALUATION_METRICS = "vaeforge.evaluation_metrics"
    SAMPLERS = "vaeforge.samplers"
    SCHEDULERS = "vaeforge.schedulers"


# what a worker needs to build an experiment, to train it, and to unpickle the space with its settings
WORKER_GROUPS = (Group.FAMILIES, Group.LAYOUTS, Group.VALIDATION_METRICS, Group.SAMPLERS, Group.SCHEDULERS)


@dataclass(frozen=True)
class PluginSource:
    """Where the plug-ins of one kind come from.

    Attributes:
        package: whose modules they are, say `vaeforge.evaluation.tasks`.
        attribute: what a module calls its plug-in, say `TASK`; a module without it is none.
        group: of the entry points of other packages, which lead to a plug-in.
    """

    package: str
    attribute: str
    group: Group

    def modules(self) -> list[str]:
        """The names of the package's modules; none is imported."""
        return list(_modules(self.package, tuple(importlib.import_module(self.package).__path__)))

    def in_module(self, name: str) -> object | None:
        """What the module called `name` calls its plug-in; none if it has none."""
        found: object | None = getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute, None)
        return found

    def points(self) -> list[EntryPoint]:
        """The entry points of other packages, by name; none is loaded."""
        return list(_points(self.group, tuple(sys.path)))

    def load(self, point: EntryPoint) -> object:
        """What an entry point leads to.

        Raises:
            ConfigError: if it cannot be imported.
        """
        try:
            loaded: object = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"{self.said(point)}: cannot be imported: {error}; install its package again or remove it"
            ) from None
        return loaded

    def said(self, point: EntryPoint) -> str:
        """What messages call an entry point."""
        return f"entry point {point.name} = {point.value} ({self.group})"


@cache
def _modules(package: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """Read once for each package: a scoring looks its layout up for each picture."""
    return tuple(module.name for module in pkgutil.iter_modules(path))


@cache
def _points(group: Group, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Read once for each import `path`: every look reads the metadata of all installed packages, about 8 ms."""
    return tuple(sorted(entry_points(group=group), key=lambda point: point.name))


@dataclass(frozen=True)
class Plugins(Generic[Plugin]):
    """The plug-ins of one kind by name: that of their module or of their entry point.

    Attributes:
        source: where they come from.
        kind: their type.
        what: what messages call one.
    """

    source: PluginSource
    kind: type[Any]  # mypy takes no abstract class for a type[Plugin]; none is built here
    what: str

    def names(self) -> list[str]:
        """The names of all plug-ins, ours and others'."""
        return sorted({*self.source.modules(), *(point.name for point in self.source.points())})

    def named(self, name: str) -> Plugin:
        """The plug-in called `name`.

        Raises:
            ConfigError: if there is none or several, or what goes by this name cannot be imported or is something else.
        """
        points = [point for point in self.source.points() if point.name == name]
        places = len({point.value for point in points}) + (name in self.source.modules())
        if places > 1:
            raise ConfigError(
                f"{self.what} {name!r}: is there {places} times (entry points {self.source.group}); rename one"
            )
        if not places:
            raise ConfigError(
                f"{self.what}: got {name!r}, must be one of {', '.join(self.names())}{nearest(name, self.names())}; "
                "see CONTRIBUTING.md"
            )
        found: Any = self.source.load(points[0]) if points else self.source.in_module(name)
        if not isinstance(found, self.kind):
            raise ConfigError(f"{self.what} {name!r}: is a {type(found).__name__}, must be a {self.kind.__name__}")
        plugin: Plugin = found
        return plugin
