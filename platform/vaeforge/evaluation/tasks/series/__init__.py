"""Series: reconstructions of time points, their latents, and what a linear model does."""

from typing import TYPE_CHECKING

from vaeforge.evaluation.task import EvaluationTask

if TYPE_CHECKING:
    from vaeforge.evaluation.results import EvaluationResult
    from vaeforge.trained import TrainedModel


class SeriesTask(EvaluationTask):
    """See `evaluation.evaluate`."""

    name = "series"
    intended_use = (
        "Encodes single time points of voxel series as short vectors and reconstructs them. Meant for research on "
        "the structure of such series."
    )
    limits = (
        "It is not a medical device. Latents say nothing about one person's health.",
        "It knows voxels in the order and the units of its training files; time is no input.",
    )

    def evaluate(self, trained: "TrainedModel") -> "EvaluationResult":
        from vaeforge.evaluation.tasks.series.evaluation import evaluate

        return evaluate(trained)


TASK = SeriesTask()
