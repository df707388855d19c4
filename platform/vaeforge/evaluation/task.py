"""An evaluation task: what the trained models of some families are measured by, beside what all are."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from vaeforge.evaluation.results import EvaluationResult
    from vaeforge.trained import TrainedModel


class EvaluationTask(ABC):
    """One task. It is loaded by whoever asks for it, also where there is no torch: `evaluate` imports what it needs.

    Attributes:
        name: as families name it, and the module or entry point that brings it.
        detects_anomalies: test labels are 0 for normal and 1 for anomalous. The gates then compare the likelihood of
            normal samples alone, for to find anomalies likely is no merit; they compare the AUROC of the model's own
            score, where the test holds anomalous samples; and they check the threshold on its normal samples.
        intended_use: what a model card says that the models are for.
        limits: what they must not be taken for, the weightiest first.
    """

    name: ClassVar[str]
    detects_anomalies: ClassVar[bool] = False
    intended_use: ClassVar[str]
    limits: ClassVar[tuple[str, ...]]

    @abstractmethod
    def evaluate(self, trained: "TrainedModel") -> "EvaluationResult":
        """Everything that is measured of a trained model for this task: `val/...` and `test/...` numbers and the rest.

        Raises:
            DataError: if the test samples do not have what the task needs.
        """
