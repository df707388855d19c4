"""A validation metric: a number of each epoch, as sums over samples and ranks that are divided once.

A metric is a module of `vaeforge.training.validation_metrics`, or an entry point of the group
`vaeforge.validation_metrics` in any other package. It is computed, tracked and listed with every epoch; what a search
may have for a goal is `search/space/objective.py: METRICS`.

Shapes: B samples of a batch, N of all; L latent dimensions; K sums.
"""

from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar

from torch import Tensor

from vaeforge.errors import ConfigError
from vaeforge.plugins import Group, Plugins, PluginSource
from vaeforge_models.vae import VAE, Posterior

PREFIX = "val/"


class ValidationMetric(ABC):
    """One metric.

    Attributes:
        name: of the metric, `val/...`.
    """

    name: ClassVar[str]

    @abstractmethod
    def size(self, model: VAE) -> int:
        """How many sums there are, K: a rank without samples adds as many zeros."""

    @abstractmethod
    def sums(self, model: VAE, x: Tensor, posterior: Posterior) -> Tensor:
        """The sums over a batch, float64 [K]; they are added over batches and ranks.

        Args:
            model: in evaluation mode; gradients are off.
            x: [B, *event], model units.
            posterior: q(z|x), mu and log variance [B, L].
        """

    @abstractmethod
    def value(self, sums: Tensor, count: int) -> float:
        """The metric of `count` samples, N, from their sums [K]."""


METRICS: Plugins[ValidationMetric] = Plugins(
    PluginSource("vaeforge.training.validation_metrics", "METRIC", Group.VALIDATION_METRICS),
    ValidationMetric,
    "validation metric",
)


@cache
def validation_metrics() -> tuple[ValidationMetric, ...]:
    """All metrics, in the order of their plug-ins' names.

    Raises:
        ConfigError: if a metric is not called `val/...`, or two have one name.
    """
    found = tuple(METRICS.named(name) for name in METRICS.names())
    names = [metric.name for metric in found]
    wrong = [name for name in names if not name.startswith(PREFIX) or names.count(name) > 1]
    if wrong:
        raise ConfigError(f"validation metrics: got {', '.join(wrong)}, must be {PREFIX}... and each there once")
    return found
