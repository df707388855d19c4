"""The loss of one step of several lanes: `StepLoss` with a dimension more in front, and a schedule for each lane.

Shapes: K lanes, B samples of a batch, L latent dimensions.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, vmap

from vaeforge.config.experiment import Experiment
from vaeforge.training.lanes.lane_schedules import LaneSchedules
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.step_loss import Coupling, SharedLoss
from vaeforge_models.objective import BatchLoss, BetaSchedule
from vaeforge_models.scalars import Scalar
from vaeforge_models.total_correlation import decompose
from vaeforge_models.vae import VAE


class LaneLoss(SharedLoss):
    """See the module's docstring.

    Attributes:
        schedules: of the lanes.
        units: bool [K, L], the latent dimensions that each lane has.
        extra_correlation: weights of the total correlation beyond that within the plain rate, float64 [K].
    """

    axis = 1

    def __init__(
        self,
        experiment: Experiment,
        model: VAE,
        group: ProcessGroup,
        dataset_size: int,
        schedules: Sequence[BetaSchedule],
    ):
        """
        Args:
            experiment: of any of the lanes.
            model: of the stack's shape.
            group: of one rank.
            dataset_size: N, training samples.
            schedules: of the lanes, their given weights those of the summed rate.
        """
        super().__init__(experiment, model, group, dataset_size)
        self.schedules = LaneSchedules(schedules, group.device)
        lanes = len(schedules)
        self.units = torch.ones(lanes, model.latent_dim, dtype=torch.bool, device=group.device)
        self.extra_correlation = torch.zeros(lanes, dtype=torch.float64, device=group.device)

    def _linear_in_means(self) -> bool:
        return self.schedules.linear

    def _size(self, state: Mapping[str, Scalar]) -> Scalar:
        return self.schedules.size(state)

    def _by_means(
        self, mean: Tensor, kl: Tensor, progress: Scalar, state: Mapping[str, Scalar], log_mse_dimensions: Scalar | None
    ) -> BatchLoss:
        return self.schedules.by_means(mean, kl, progress, state, log_mse_dimensions, self.units)

    def _couplings(self, progress: Scalar, state: Mapping[str, Scalar]) -> list[Coupling]:
        size = self._size(state)
        found: list[Coupling] = []
        if self.model.batch_coupled:
            found.append(lambda output, condition: size * vmap(self.model.batch_penalty)(output, condition))
        if self.correlated:
            weight = size * self.extra_correlation * self.schedules.beta(progress, state)
            found.append(lambda z, mu, logvar: weight * self._total_correlation(z, mu, logvar))
        return found

    def _total_correlation(self, z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        """Of each lane's batch [K, B, L], nats: [K]."""

        def of_one(z: Tensor, mu: Tensor, logvar: Tensor, units: Tensor) -> Tensor:
            return decompose(z, mu, logvar, self.dataset_size, units).total_correlation

        found: Tensor = vmap(of_one)(z, mu, logvar, self.units)
        return found
