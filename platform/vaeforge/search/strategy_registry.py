"""Registry of samplers and schedulers: one file each, or an entry point of another package.

A file in `samplers/` with a `SAMPLER`, or in `schedulers/` with a `SCHEDULER`, is one, and nothing else names it: the
class of its settings, which build what they configure. Packages outside add theirs through entry points of the groups
`vaeforge.samplers` and `vaeforge.schedulers`, which lead to such a class.
"""

from collections.abc import Mapping
from functools import cache
from typing import TypeVar

from vaeforge.errors import ConfigError
from vaeforge.plugins import Group, PluginSource
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.schedulers.settings import SchedulerSettings
from vaeforge.search.space.strategies import StrategySettings

SAMPLERS = PluginSource("vaeforge.search.samplers", "SAMPLER", Group.SAMPLERS)
SCHEDULERS = PluginSource("vaeforge.search.schedulers", "SCHEDULER", Group.SCHEDULERS)
OPTUNA = "optuna:"
S = TypeVar("S", bound=StrategySettings)


@cache
def samplers() -> Mapping[str, type[SamplerSettings]]:
    """The settings of every sampler by its name."""
    return strategies(SAMPLERS, SamplerSettings)  # type: ignore[type-abstract]


@cache
def schedulers() -> Mapping[str, type[SchedulerSettings]]:
    """The settings of every scheduler by its name."""
    return strategies(SCHEDULERS, SchedulerSettings)  # type: ignore[type-abstract]


def sampler_named(name: str) -> type[SamplerSettings] | None:
    """The settings of the sampler called `name`; those of any Optuna sampler for `optuna:module.Class`."""
    if name.startswith(OPTUNA):
        from vaeforge.search.samplers.any_optuna import AnyOptunaSettings

        return AnyOptunaSettings
    return samplers().get(name)


def strategies(source: PluginSource, base: type[S]) -> dict[str, type[S]]:
    """Those of this package in their places, then those of others by name.

    Raises:
        ConfigError: if an entry point cannot be imported, leads to something else, or takes a name that exists.
    """
    loaded = [(name, source.in_module(name)) for name in source.modules()]  # helpers lie there as well
    own = [_checked(one, base, f"{source.package}.{name}") for name, one in loaded if one is not None]
    known = {settings.key(): settings for settings in sorted(own, key=lambda one: (one.place, one.key()))}
    for point in source.points():
        found = _checked(source.load(point), base, source.said(point))
        if known.get(found.key(), found) is not found:
            raise ConfigError(f"{source.said(point)}: the name {found.key()!r} exists already; call it something else")
        known[found.key()] = found
    return known


def _checked(found: object, base: type[S], where: str) -> type[S]:
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{where}: got {found!r}, must be a class of {base.__name__}")
    return found
