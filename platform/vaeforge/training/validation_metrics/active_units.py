"""Active units: how many latent dimensions tell samples apart (Burda et al. 2016)."""

import torch
from torch import Tensor

from vaeforge.training.validation_metric import ValidationMetric
from vaeforge_models.diagnostics import active_units
from vaeforge_models.vae import VAE, Posterior


class ActiveUnits(ValidationMetric):
    """Dimensions whose posterior mean varies over the samples, see `diagnostics.active_units`."""

    name = "val/active_units"

    def size(self, model: VAE) -> int:
        return 2 * model.latent_dim

    def sums(self, model: VAE, x: Tensor, posterior: Posterior) -> Tensor:
        mu = posterior.mu.to(torch.float64)
        return torch.cat([mu.sum(0), mu.square().sum(0)])

    def value(self, sums: Tensor, count: int) -> float:
        mu, mu_squared = sums.view(2, -1)
        return float(active_units(mu, mu_squared, count))


METRIC = ActiveUnits()
