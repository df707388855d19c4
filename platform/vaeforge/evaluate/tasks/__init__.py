"""The tasks, one file each: a file in this folder that defines TASK is a task, and nothing else names it."""

import importlib
import pkgutil
from functools import cache

from vaeforge.errors import ConfigError
from vaeforge.evaluate.findings import Task


@cache
def tasks() -> dict[str, Task]:
    """Every known task by its name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {module.TASK.name: module.TASK for module in modules}


def task_named(name: str) -> Task:
    """The task called `name`.

    Raises:
        ConfigError: if there is none.
    """
    if name not in tasks():
        raise ConfigError(f"task: got {name!r}, must be one of {', '.join(sorted(tasks()))}; see CONTRIBUTING.md")
    return tasks()[name]
