"""Graph that draws images of a class: a class and noise in, an image in raw units out.

z = m_c + eps A_c^T, where m_c and A_c A_c^T are mean and covariance of the aggregate posterior of class c over the
training images (`vaeforge.evaluation.latent_posteriors`): what `vaeforge generate --source aggregate` draws from. The
graph holds m [K, L] and A [K, L, L], no image's own posterior.

Shapes: B images, K classes, L latent dimensions; label int64 [B], eps [B, L], image [B, *event].
"""

import numpy as np
import torch
from torch import Tensor

from vaeforge.evaluation.latent_posteriors import LatentLibrary
from vaeforge.package.graphs import EXAMPLE_BATCH, RECONSTRUCTION, Graph, ModelView
from vaeforge_models.vae import VAE


class Generator(ModelView):
    """See the module's docstring; `mean` [K, L] and `spread` [K, L, L], the Cholesky factors."""

    mean: Tensor
    spread: Tensor
    classes: Tensor

    def __init__(self, model: VAE, mean: Tensor, spread: Tensor):
        super().__init__(model)
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.register_buffer("classes", torch.eye(len(mean)))

    def forward(self, label: Tensor, eps: Tensor) -> tuple[Tensor, ...]:
        z = self.mean[label] + (self.spread[label] @ eps[:, :, None])[:, :, 0]
        return (self.model.denormalise(self.model.mean(self.model.decode(z, self.classes[label]))),)


def generating_graph(model: VAE, library: LatentLibrary, classes: int) -> Graph:
    """The graph for a model whose condition is one of `classes` classes, one-hot.

    Raises:
        DataError: if a class has no training sample.
    """
    moments = [library.of(label).moments() for label in range(classes)]
    mean = torch.from_numpy(np.stack([mean for mean, _ in moments]))
    spread = torch.linalg.cholesky(torch.from_numpy(np.stack([covariance for _, covariance in moments])))
    label = torch.zeros(EXAMPLE_BATCH, dtype=torch.int64)
    examples = {"label": label, "eps": torch.zeros(EXAMPLE_BATCH, model.latent_dim)}
    module = Generator(model, mean.float(), spread.float()).eval()
    return Graph(module, examples, (RECONSTRUCTION,), {"label": classes})
