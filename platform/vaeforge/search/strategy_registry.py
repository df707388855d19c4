"""Registry of samplers and schedulers: one file each, or an entry point of another package.

A file in `samplers/` with a `SAMPLER`, or in `schedulers/` with a `SCHEDULER`, is one, and nothing else names it: the
class of its settings, which build what they configure. Packages outside add theirs through entry points of the groups
`vaeforge.samplers` and `vaeforge.schedulers`, which lead to such a class.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

from vaeforge.errors import ConfigError
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.schedulers.settings import SchedulerSettings
from vaeforge.search.space.strategies import StrategySettings

GROUPS = ("vaeforge.samplers", "vaeforge.schedulers")
OPTUNA = "optuna:"
S = TypeVar("S", bound=StrategySettings)


@cache
def samplers() -> Mapping[str, type[SamplerSettings]]:
    """The settings of every sampler by its name."""
    return _found("samplers", "SAMPLER", SamplerSettings)  # type: ignore[type-abstract]


@cache
def schedulers() -> Mapping[str, type[SchedulerSettings]]:
    """The settings of every scheduler by its name."""
    return _found("schedulers", "SCHEDULER", SchedulerSettings)  # type: ignore[type-abstract]


def sampler_named(name: str) -> type[SamplerSettings] | None:
    """The settings of the sampler called `name`; those of any Optuna sampler for `optuna:module.Class`."""
    if name.startswith(OPTUNA):
        from vaeforge.search.samplers.any_optuna import AnyOptunaSettings

        return AnyOptunaSettings
    return samplers().get(name)


def _found(kind: str, attribute: str, base: type[S]) -> dict[str, type[S]]:
    """Those of this package in their places, then those of others by name.

    Raises:
        ConfigError: if an entry point cannot be imported, leads to something else, or takes a name that exists.
    """
    package = importlib.import_module(f"vaeforge.search.{kind}")
    files = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in files]
    own: list[type[S]] = [getattr(module, attribute) for module in modules if hasattr(module, attribute)]
    known = {settings.key(): settings for settings in sorted(own, key=lambda one: (one.place, one.key()))}
    for point in sorted(entry_points(group=f"vaeforge.{kind}"), key=lambda point: point.name):
        where = f"entry point {point.name} = {point.value} (vaeforge.{kind})"
        try:
            loaded = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"{where}: cannot be imported: {error}; install its package again or remove it") from None
        if not (isinstance(loaded, type) and issubclass(loaded, base)):
            raise ConfigError(f"{where}: got {loaded!r}, must be a class of {base.__name__}")
        if known.get(loaded.key(), loaded) is not loaded:
            raise ConfigError(f"{where}: the name {loaded.key()!r} exists already; call it something else")
        known[loaded.key()] = loaded
    return known
