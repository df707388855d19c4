"""The families, one file each: a file in this folder that defines FAMILY is a family, and nothing else names it.

Packages outside add their own through an entry point of the group `vaeforge.families` that leads to a Family.
"""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points

from vaeforge_models.family import Family


@cache
def families() -> dict[str, Family]:
    """Every known family by its name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [module.FAMILY for module in modules] + [point.load() for point in entry_points(group="vaeforge.families")]
    return {family.name: family for family in found}
