"""A test metric: something that is measured of every trained model, whatever its family and task.

A metric is a module of `vaeforge.evaluation.metrics`, or an entry point of the group `vaeforge.evaluation_metrics` in
any other package. What only some families have belongs to their task (`vaeforge.evaluation.task`).
"""

from abc import ABC, abstractmethod

from vaeforge.evaluation.results import EvaluationResult
from vaeforge.plugins import Group, Plugins, PluginSource
from vaeforge.trained import TrainedModel


class EvaluationMetric(ABC):
    """One metric, or several that are computed together."""

    @abstractmethod
    def measure(self, trained: TrainedModel) -> EvaluationResult:
        """Numbers called `test/...`, and what belongs to them: rows, curves, tables, figures, arrays.

        Where a number has a 95 % interval over the groups of the test samples (`evaluation/intervals.py`), its ends are
        called `_low` and `_high`; random draws come from fixed seeds (`vaeforge.seeds.derive`).

        Raises:
            DataError: if the test samples do not have what the metric needs.
        """


METRICS: Plugins[EvaluationMetric] = Plugins(
    PluginSource("vaeforge.evaluation.metrics", "METRIC", Group.EVALUATION_METRICS),
    EvaluationMetric,
    "test metric",
)
