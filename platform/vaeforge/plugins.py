"""Plug-ins by name: modules of a package of ours, and entry points that other installed packages bring.

A plug-in is loaded when it is asked for by its name, never because another one is.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from vaeforge.errors import ConfigError, nearest

Plugin = TypeVar("Plugin")


@dataclass(frozen=True)
class Plugins(Generic[Plugin]):
    """The plug-ins of one kind.

    Attributes:
        package: whose modules they are, say `vaeforge.evaluation.tasks`; a module is called as its plug-in is.
        attribute: what a module calls its plug-in, say `TASK`.
        group: of the entry points of other packages, say `vaeforge.tasks`; an entry point leads to a plug-in.
        kind: their type.
        what: what messages call one.
    """

    package: str
    attribute: str
    group: str
    kind: type[Plugin]
    what: str

    def names(self) -> list[str]:
        """The names of all plug-ins, ours and others'."""
        return sorted({*self._own(), *entry_points(group=self.group).names})

    def named(self, name: str) -> Plugin:
        """The plug-in called `name`.

        Raises:
            ConfigError: if there is none or several, or what goes by this name cannot be imported or is something else.
        """
        points = [point for point in entry_points(group=self.group) if point.name == name]
        places = len({point.value for point in points}) + (name in self._own())
        if places > 1:
            raise ConfigError(f"{self.what} {name!r}: is there {places} times (entry points {self.group}); rename one")
        if not places:
            raise ConfigError(
                f"{self.what}: got {name!r}, must be one of {', '.join(self.names())}{nearest(name, self.names())}; "
                "see CONTRIBUTING.md"
            )
        found = self._loaded(points[0]) if points else self._attribute(name)
        if not isinstance(found, self.kind):
            raise ConfigError(f"{self.what} {name!r}: is a {type(found).__name__}, must be a {self.kind.__name__}")
        return found

    def _own(self) -> list[str]:
        return [module.name for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__)]

    def _attribute(self, name: str) -> object:
        return getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute, None)

    def _loaded(self, point: EntryPoint) -> object:
        try:
            loaded: object = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"entry point {point.name} = {point.value} ({self.group}): cannot be imported: {error}; "
                "install its package again or remove it"
            ) from None
        return loaded
