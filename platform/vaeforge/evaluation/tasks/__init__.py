"""Evaluation tasks by name: a module or package here with a TASK, or an entry point of the group `vaeforge.tasks`."""

from vaeforge.evaluation.task import EvaluationTask
from vaeforge.plugins import Group, Plugins, PluginSource

TASKS: Plugins[EvaluationTask] = Plugins(PluginSource(__name__, "TASK", Group.TASKS), EvaluationTask, "task")


def task_names() -> list[str]:
    """The names of all tasks."""
    return TASKS.names()


def task_named(name: str) -> EvaluationTask:
    """The task called `name`; no other one is loaded.

    Raises:
        ConfigError: if there is none.
    """
    return TASKS.named(name)
