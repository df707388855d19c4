"""Per-sample scores of a test set, by which two models are compared: the file arrays/evidence.npz of an evaluation.

Shape: T test samples.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.array_files import DAMAGE
from vaeforge.errors import DataError
from vaeforge.evaluation.tasks import task_named

EVIDENCE_FILE = "evidence.npz"
KINDS = {"nll": np.float64, "score": np.float64, "labels": np.int64, "groups": np.int64}
LATER = {"training_mean_nll": np.float64}  # evidence of earlier versions does not hold it


@dataclass(frozen=True)
class PerSampleScores:
    """Of each test sample, [T] each.

    Attributes:
        nll: nats of the test likelihood in which beta has no part; lower is better.
        score: the model's own anomaly score; higher is more anomalous.
        labels: 0 for normal and 1 for anomalous where the task detects anomalies, else whatever classes the data have.
        groups: what samples are independent of one another: those of different groups.
        training_mean_nll: nats of the mean of the training samples, as if it were the reconstruction of every sample;
            none in evidence of earlier versions.
    """

    nll: NDArray[np.float64]
    score: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    training_mean_nll: NDArray[np.float64] | None = None

    @property
    def finite(self) -> bool:
        """Whether there are samples and all their numbers are finite."""
        return len(self.nll) > 0 and bool(np.isfinite(self.nll).all() and np.isfinite(self.score).all())

    @property
    def anomalous(self) -> int:
        """How many samples are anomalous; of tasks that detect anomalies."""
        return int((self.labels == 1).sum())

    def same_test(self, other: "PerSampleScores") -> bool:
        """Whether both are of the same test samples, as far as labels and groups tell."""
        return np.array_equal(self.labels, other.labels) and np.array_equal(self.groups, other.groups)

    def compared(self, task: str) -> NDArray[np.bool_]:
        """The samples whose likelihood is compared: [T].

        All, or the normal ones where the task detects anomalies, for to find those likely is no merit.
        """
        return self.labels == 0 if task_named(task).detects_anomalies else np.ones(len(self.labels), dtype=bool)

    def mean_nll(self, task: str) -> float:
        """Mean nats per compared sample; NaN where there is none."""
        chosen = self.nll[self.compared(task)]
        return float(chosen.mean()) if len(chosen) else float("nan")


def read_per_sample_scores(path: Path) -> PerSampleScores:
    """The per-sample scores in the file at `path`.

    Raises:
        DataError: if it is missing, damaged, or its arrays do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            found: dict[str, Any] = {name: archive[name] for name in KINDS}
            found |= {name: archive[name] for name in LATER if name in archive}
    except FileNotFoundError:
        raise DataError(f"{path}: not found; run `vaeforge evaluate` again") from None
    except DAMAGE as error:
        raise DataError(f"{path}: is no evidence ({error}); run `vaeforge evaluate` again") from error
    kinds = {**KINDS, **LATER}
    wrong = [name for name, values in found.items() if values.dtype != kinds[name] or values.ndim != 1]
    if wrong or len({len(values) for values in found.values()}) != 1:
        shapes = ", ".join(f"{name} {values.dtype}{list(values.shape)}" for name, values in found.items())
        raise DataError(f"{path}: holds {shapes}; must be one number per test sample; run `vaeforge evaluate` again")
    return PerSampleScores(**found)
