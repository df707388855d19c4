"""Sentences of a model card: what a model is for and what it must not be taken for, by its task."""

from collections.abc import Mapping

from vaeforge.evaluation.only_normal import only_normal_in
from vaeforge.evaluation.tasks import task_named, task_names
from vaeforge.evaluation.threshold import shortage
from vaeforge.package.contract import Contract

UNKNOWN_USE = "Encodes samples of the kind that it was trained on and reconstructs them."
UNKNOWN_LIMITS = ("It is not a medical device.",)
EVERYWHERE = [
    "Its numbers hold for data like its test data. For anything else they are unknown: measure before relying on them.",
    "Inputs out of distribution get an answer like any other. Compare scores and latents with reference.npz to notice.",
]
INT8 = "The int8 graph is for inputs within the range of the training data; its answers depend a little on the batch."
SAMPLE = (
    "It was trained on a small sample that comes with the software, which shows that the machinery runs. The numbers "
    "say nothing of the method's worth, and the model is not meant for use."
)


def intended_use(task: str) -> str:
    """What models of `task` are for; a card may be of a task that is not installed here."""
    return task_named(task).intended_use if task in task_names() else UNKNOWN_USE


def limits_of(contract: Contract, shipped_sample: bool, metrics: Mapping[str, float]) -> list[str]:
    """What to know before using a model, the weightiest first; `metrics` are those of its evaluation."""
    task = contract.task
    own = task_named(task).limits if task in task_names() else UNKNOWN_LIMITS
    quantised = [INT8] if "model_int8" in contract.graphs else []
    missing = only_normal_in(metrics)
    untested = [f"Whether it finds anomalies was not tested: {missing}."] if missing else []
    return [
        *([SAMPLE] if shipped_sample else []),
        *untested,
        *own,
        *_threshold_limit(contract),
        *EVERYWHERE,
        *quantised,
    ]


def _threshold_limit(contract: Contract) -> list[str]:
    """That there were too few validation normals for the threshold, where that is so and the task has one."""
    rate, known = contract.threshold_rate, contract.task in task_names()
    short = shortage(contract.quantile, rate) if rate is not None else ""
    return (
        [f"{short[:1].upper()}{short[1:]}."] if short and known and task_named(contract.task).detects_anomalies else []
    )
