"""Texture: whether reconstructions and generated samples have the grain of the data."""

from typing import TYPE_CHECKING

from vaeforge.evaluation.task import EvaluationTask

if TYPE_CHECKING:
    from vaeforge.evaluation.results import EvaluationResult
    from vaeforge.trained import TrainedModel


class TextureTask(EvaluationTask):
    """See `evaluation.evaluate`."""

    name = "texture"
    intended_use = (
        "Encodes patches of one texture, reconstructs them, and draws new ones. Meant for research on texture "
        "statistics, and for simulations where nearly realistic texture is enough."
    )
    limits = (
        "It is not a medical device. Drawn patches are no measurements of anybody.",
        "It knows patches of one size and one imaging setup. Other frequencies, depths or gains are other textures.",
    )

    def evaluate(self, trained: "TrainedModel") -> "EvaluationResult":
        from vaeforge.evaluation.tasks.texture.evaluation import evaluate

        return evaluate(trained)


TASK = TextureTask()
