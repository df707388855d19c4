"""The tasks, one file each, called as the task is: a file here that defines TASK, and nothing else names it."""

import importlib
import pkgutil

from vaeforge.errors import ConfigError
from vaeforge.evaluate.results import Task


def task_names() -> list[str]:
    """The names of all tasks."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def task_named(name: str) -> Task:
    """The task called `name`; no other one is loaded.

    Raises:
        ConfigError: if there is none.
    """
    if name not in task_names():
        raise ConfigError(f"task: got {name!r}, must be one of {', '.join(task_names())}; see CONTRIBUTING.md")
    task: Task = importlib.import_module(f"{__name__}.{name}").TASK
    return task
