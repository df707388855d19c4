"""Mutual information of samples and latents: how far the test samples' latents tell them apart."""

import numpy as np
import torch

from vaeforge.evaluation.inference import posteriors
from vaeforge.evaluation.metric import EvaluationMetric
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel
from vaeforge_models.diagnostics import mutual_information
from vaeforge_models.vae import Posterior


class MutualInformation(EvaluationMetric):
    """`test/mutual_information`, nats, at most log of the number of test samples; z under a fixed seed."""

    def measure(self, trained: TrainedModel) -> EvaluationResult:
        mu, sigma = posteriors(trained.model, trained.prepared.test)
        posterior = Posterior(torch.from_numpy(mu), torch.from_numpy(2 * np.log(sigma)))
        generator = torch.Generator().manual_seed(derive(0, "mutual information"))
        eps = torch.randn(mu.shape, dtype=torch.float64, generator=generator)
        return EvaluationResult({"test/mutual_information": mutual_information(posterior, eps)})


METRIC = MutualInformation()
