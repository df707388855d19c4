"""Latent posteriors of the training images by class, and draws from them.

Shapes: N training samples, L latent dimensions, K classes; mu and sigma [N, L], labels [N].

The aggregate posterior of a class is q(z|c) = 1 / N_c sum_i q(z|x_i). Drawing from it as it stands means taking one
training image's posterior, which is narrow, and its decoding nearly that image. Here it is replaced by the Gaussian of
the same mean and covariance: m = mean mu_i, C = cov mu_i + diag(mean sigma_i^2) (law of total variance). It keeps where
a class lies and how it spreads, and no single image (Tomczak and Welling 2018 discuss such priors).
"""

import re
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaeforge.data.prepared import Prepared
from vaeforge.errors import DataError
from vaeforge.evaluation.inference import posteriors
from vaeforge.samples import Samples
from vaeforge_models.vae import VAE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class LatentLibrary:
    """The posteriors of training samples: mu and sigma [N, L], and their classes [N]."""

    mu: Floats
    sigma: Floats
    labels: Integers

    def of(self, label: int) -> "LatentLibrary":
        """The samples of one class.

        Raises:
            DataError: if there are none.
        """
        mine = self.labels == label
        if not mine.any():
            known = sorted(set(self.labels.tolist()))
            raise DataError(f"latent library: no training sample of class {label}, must be one of {known}")
        return LatentLibrary(self.mu[mine], self.sigma[mine], self.labels[mine])

    def moments(self) -> tuple[Floats, Floats]:
        """Mean [L] and covariance [L, L] of the mixture of all posteriors."""
        mean = self.mu.mean(0)
        centred = self.mu - mean
        covariance: Floats = centred.T @ centred / len(self.mu) + np.diag((self.sigma**2).mean(0))
        return mean, covariance

    def aggregate(self, labels: Integers, generator: torch.Generator) -> Tensor:
        """One draw from the moment-matched Gaussian of each label's class: float32 [n, L]."""
        eps = torch.randn(len(labels), self.mu.shape[1], dtype=torch.float64, generator=generator)
        z = torch.empty_like(eps)
        for label in np.unique(labels):
            mean, covariance = (torch.from_numpy(part) for part in self.of(int(label)).moments())
            mine = torch.from_numpy(labels == label)
            z[mine] = mean + eps[mine] @ torch.linalg.cholesky(covariance).T
        return z.float()

    def arrays(self, names: tuple[str, ...]) -> dict[str, dict[str, NDArray[np.generic]]]:
        """Each class's posteriors for a file of its own, by the file's name."""
        found: dict[str, dict[str, NDArray[np.generic]]] = {}
        for label, file in enumerate(file_names(names)):
            mine = self.labels == label
            mu, sigma = (part[mine].astype(np.float32) for part in (self.mu, self.sigma))
            found[f"latents_{file}"] = {"mu": mu, "sigma": sigma, "label": self.labels[mine]}
        return found


def library_of(model: VAE, train: Samples) -> LatentLibrary:
    """The posteriors of `train`."""
    return LatentLibrary(*posteriors(model, train), labels_of(train))


def labels_of(samples: Samples) -> Integers:
    """The class of each sample; 0 for all where there are no classes: [N]."""
    if not samples.condition.shape[1]:
        return np.zeros(len(samples), dtype=np.int64)
    labels: Integers = np.asarray(samples.condition).argmax(1).astype(np.int64)
    return labels


def conditions_of(labels: Integers, classes: int) -> Tensor:
    """One-hot classes [n, K]; K = 0 gives [n, 0]."""
    return torch.eye(classes)[torch.from_numpy(labels)] if classes else torch.zeros(len(labels), 0)


def class_names(prepared: Prepared) -> tuple[str, ...]:
    """What the classes are called; one name for data without classes."""
    classes = prepared.train.condition.shape[1]
    named = prepared.manifest.info.get("classes")
    return tuple(named) if named else tuple(f"class_{number}" for number in range(max(1, classes)))


def file_names(names: tuple[str, ...]) -> list[str]:
    """Names as parts of file names: other characters than letters, digits, `_`, `-` and `.` become `_`, none is there
    twice, none begins with a dot.
    """
    found: list[str] = []
    for number, name in enumerate(names):
        safe = UNSAFE.sub("_", name).lstrip(".") or "_"
        found.append(f"{safe}_{number}" if safe.casefold() in {other.casefold() for other in found} else safe)
    return found
