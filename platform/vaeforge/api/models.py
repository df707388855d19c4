"""Models at hand: exported ones for scoring with numpy arrays, trained ones in torch.

Shapes: N samples, L latent dimensions; x [N, *event] in raw units (0 to 255 for images), condition [N, C].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaeforge.job_limits import job_cores
from vaeforge.package.inputs import condition_of, samples_of
from vaeforge.paths import Project
from vaeforge.registry.fetch import Fetched, fetch
from vaeforge.score.model import Scorer
from vaeforge.track.store import default_uri

if TYPE_CHECKING:
    from vaeforge.trained import TrainedModel

RECONSTRUCTION = "reconstruction"


@dataclass(frozen=True)
class Scores:
    """What a model says of N samples.

    Attributes:
        score: the anomaly score, larger for more anomalous, [N].
        is_anomaly: whether the score is above the model's threshold, [N].
        rate: KL(q(z|x) || N(0, I)) in nats, [N].
        mu: the posterior means, [N, L].
    """

    score: NDArray[np.float32]
    is_anomaly: NDArray[np.bool_]
    rate: NDArray[np.float32]
    mu: NDArray[np.float32]


class Model:
    """An exported model, verified, run by onnxruntime; made by `load`.

    Attributes:
        name: what people call it: its name and version in the registry, or its folder.
        family: kind of model.
        event_shape: of one sample.
        latent_dim: L.
        classes: names of the condition's components; empty for models without a condition.
        threshold: score above which a sample is anomalous.
    """

    def __init__(self, fetched: Fetched, threads: int):
        contract = fetched.bundle.contract
        self._contract, self._scorer = contract, Scorer(fetched.bundle, "model", threads, maps=False)
        self.name, self.family, self.latent_dim = fetched.name, contract.family, contract.latent_dim
        self.event_shape, self.classes = tuple(contract.event_shape), tuple(contract.condition)
        self.threshold = contract.threshold

    def score(self, x: ArrayLike, condition: Any = None, batch: int = 64) -> Scores:
        """Score samples.

        Args:
            x: [N, *event], or a single sample [*event], in raw units.
            condition: for models with classes a class's name, or one for each sample; for all models with a condition
                numbers [C] or [N, C].
            batch: samples that go through the model together.

        Raises:
            DataError: if the model takes other samples or another condition.
        """
        found = [self._scorer.run(*part) for part in self._batches(x, condition, batch)]
        score, rate, mu = (np.concatenate([getattr(one, name) for one in found]) for name in ("score", "rate", "mu"))
        return Scores(score, score > self.threshold, rate, mu)

    def reconstruct(self, x: ArrayLike, condition: Any = None, batch: int = 64) -> NDArray[np.float32]:
        """Reconstructions [N, *event] of samples, in raw units; arguments and errors as in `score`."""
        parts = [self._scorer.outputs((RECONSTRUCTION,), *part)[0] for part in self._batches(x, condition, batch)]
        return np.concatenate(parts)

    def _batches(
        self, x: ArrayLike, condition: Any, size: int
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        samples = samples_of(x, self._contract)
        given = condition_of(condition, self._contract, len(samples))
        conditions = np.zeros((len(samples), 0), np.float32) if given is None else given
        for first in range(0, len(samples), size):
            yield samples[first : first + size], conditions[first : first + size]


def load(reference: str | Path, project: str | Path = ".", *, threads: int | None = None) -> Model:
    """A registered or exported model.

    Args:
        reference: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a folder that `export` wrote.
        project: the project's folder, whose MLflow store is asked unless MLFLOW_TRACKING_URI names another.
        threads: of one run of the model; none: one for each core.

    Raises:
        ConfigError: if the reference is neither.
        RegistryError: if there is no such version, it is archived, or its files are not what they must be.
        TrackingError: if the store cannot be used.
    """
    place = Project(project)
    fetched = fetch(str(reference), place, default_uri(place.root))
    return Model(fetched, threads or job_cores())


def load_trained(run: str = "tune", project: str | Path = ".") -> "TrainedModel":
    """A trained model in torch, in evaluation mode on the CPU, with the prepared data that it learned from.

    Args:
        run: the name of a search, or `tune` or `train` for the last one.
        project: the project's folder.

    Raises:
        DataError: if there is no such model, or its data are other ones now.
        CheckpointError: if its checkpoint is missing or damaged.
    """
    from vaeforge.pipeline import model_of
    from vaeforge.trained import load_trained_model

    place = Project(project)
    return load_trained_model(place, model_of(place, None, run))
