"""Plug-ins by name: modules of a package of ours, and entry points that other installed packages bring.

A plug-in is loaded when it is asked for by its name, never because another one is.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from vaeforge.errors import ConfigError, nearest

Plugin = TypeVar("Plugin")


@dataclass(frozen=True)
class Plugins(Generic[Plugin]):
    """The plug-ins of one kind.

    Attributes:
        package: whose modules they are, say `vaeforge.evaluate.tasks`; a module is called as its plug-in is.
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
            ConfigError: if there is none, or what goes by this name is something else.
        """
        if name in self._own():
            found = getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute)
        elif name in (points := entry_points(group=self.group)).names:
            found = points[name].load()
        else:
            raise ConfigError(
                f"{self.what}: got {name!r}, must be one of {', '.join(self.names())}{nearest(name, self.names())}; "
                "see CONTRIBUTING.md"
            )
        if not isinstance(found, self.kind):
            raise ConfigError(f"{self.what} {name!r}: is a {type(found).__name__}, must be a {self.kind.__name__}")
        return found

    def _own(self) -> list[str]:
        return [module.name for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__)]
