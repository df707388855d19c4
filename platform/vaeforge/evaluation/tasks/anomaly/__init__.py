"""Anomaly detection: how well a model of normal samples tells anomalous ones from them."""

from typing import TYPE_CHECKING

from vaeforge.evaluation.task import EvaluationTask

if TYPE_CHECKING:
    from vaeforge.evaluation.results import EvaluationResult
    from vaeforge.trained import TrainedModel


class AnomalyDetectionTask(EvaluationTask):
    """See `evaluation.evaluate`."""

    name = "anomaly"
    detects_anomalies = True
    intended_use = (
        "Ranks images by how far they depart from the normal images that the model learned from. Meant for research "
        "on anomaly detection, and for choosing what a person looks at first."
    )
    limits = (
        "It is not a medical device. Do not diagnose, treat, or rule anything out by its scores.",
        "A high score says that an image is unlike the training images, not what is wrong with it. Another camera, "
        "stain, focus or crop is unlike them, too.",
        "A low score does not say that an image is normal: anomalies that the model reconstructs well go unseen.",
    )

    def evaluate(self, trained: "TrainedModel") -> "EvaluationResult":
        from vaeforge.evaluation.tasks.anomaly.evaluation import evaluate

        return evaluate(trained)


TASK = AnomalyDetectionTask()
