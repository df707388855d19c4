"""Maps of channels over points in space: reconstruction and imputation."""

from typing import TYPE_CHECKING

from vaeforge.evaluation.task import EvaluationTask

if TYPE_CHECKING:
    from vaeforge.evaluation.results import EvaluationResult
    from vaeforge.trained import TrainedModel


class MapsTask(EvaluationTask):
    """See `evaluation.evaluate`."""

    name = "maps"
    intended_use = (
        "Encodes the values of several channels over points in space and reconstructs them. Meant for research on "
        "spatial maps, and for filling in channels where the evaluation shows that this works."
    )
    limits = (
        "It is not a medical device. Values that it fills in are no measurements.",
        "It knows the coordinate frame of its training data and nothing outside of their bounding box.",
    )

    def evaluate(self, trained: "TrainedModel") -> "EvaluationResult":
        from vaeforge.evaluation.tasks.maps.evaluation import evaluate

        return evaluate(trained)


TASK = MapsTask()
