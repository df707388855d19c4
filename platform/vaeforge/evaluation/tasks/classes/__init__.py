"""Images of known classes: reconstructions, generated images of a class, and what a classifier makes of them."""

from typing import TYPE_CHECKING

from vaeforge.evaluation.task import EvaluationTask

if TYPE_CHECKING:
    from vaeforge.evaluation.results import EvaluationResult
    from vaeforge.trained import TrainedModel


class ClassesTask(EvaluationTask):
    """See `evaluation.evaluate`."""

    name = "classes"
    intended_use = (
        "Encodes grey images of known classes, reconstructs them, and draws new images of a class. Meant for "
        "research, and for examples in teaching."
    )
    limits = (
        "It is not a medical device, and no classifier: the class is an input.",
        "Drawn images are no observations. Do not count them as samples of a study.",
        "It may draw near copies of training images; check before you pass any on, where those are not public.",
    )

    def evaluate(self, trained: "TrainedModel") -> "EvaluationResult":
        from vaeforge.evaluation.tasks.classes.evaluation import evaluate

        return evaluate(trained)


TASK = ClassesTask()
