"""Is the importance-weighted likelihood what it says? Against an exact one, and on digits beside published figures.

    python benchmarks/importance_weighted.py [exact|digits|all] [--quick] [--output FILE]

exact   probabilistic PCA (Tipping and Bishop 1999): log p(x) is a Gaussian's, so that the error of the bound of Burda
        et al. (2016) with K draws is known; its bias is Var(w / p) / (2 K) to first order (Nowozin 2018)
digits  the bound of a VAE with two hidden layers of 200 tanh units and 50 latents on binarised digits, K from 1 to
        5,000; published on MNIST, with fifteen times as many training images: 87 to 88 nats at K = 5,000

Figures go to benchmarks/importance_weighted.json. Units: nats per sample, with the standard error over samples.
"""

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import Normal

from vaeforge_models.likelihoods import bernoulli_distortion, importance_weighted_nll

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
DRAWS = (1, 10, 100, 1000, 5000)
VALUES, LATENTS, NOISE, WIDER = 20, 5, 0.5, 1.2
HIDDEN, CODES = 200, 50
STEPS, BATCH, BINARISED, MEASURED = 6000, 128, 10, 200
RESULTS = BENCHMARKS / "importance_weighted.json"
Figures = dict[str, Any]


def line(draws: int, nll: Tensor, exact: Tensor | None = None) -> Figures:
    """Mean of a bound [N] and its standard error; with `exact` [N], of the error."""
    told = nll if exact is None else nll - exact
    error = told.std().item() / math.sqrt(len(told))
    return {
        "K": draws,
        "nll": round(nll.mean().item(), 4),
        "excess": round(told.mean().item(), 5),
        "se": round(error, 5),
    }


def exact(quick: bool) -> Figures:
    """Excess over the exact number; q has the posterior's means, independent latents, and is too wide."""
    rng = np.random.default_rng(0)
    count = 50 if quick else 500
    loadings = rng.normal(size=(VALUES, LATENTS)) / math.sqrt(LATENTS)
    x = rng.normal(size=(count, LATENTS)) @ loadings.T + NOISE * rng.normal(size=(count, VALUES))
    covariance = loadings @ loadings.T + NOISE**2 * np.eye(VALUES)
    truth = torch.from_numpy(-multivariate_normal(np.zeros(VALUES), covariance).logpdf(x))
    posterior = np.linalg.inv(np.eye(LATENTS) + loadings.T @ loadings / NOISE**2)
    mean = torch.from_numpy(x @ loadings @ posterior / NOISE**2)
    deviation = torch.from_numpy(np.sqrt(WIDER * np.diag(posterior)))
    torch.manual_seed(0)
    rows, weights, values = [], torch.from_numpy(loadings), torch.from_numpy(x)

    def log_weights(draws: int) -> Tensor:
        q = Normal(mean, deviation)
        z = q.sample((draws,))
        joint = Normal(z @ weights.T, NOISE).log_prob(values).sum(-1) + Normal(0.0, 1.0).log_prob(z).sum(-1)
        return joint - q.log_prob(z).sum(-1)

    for draws in DRAWS:
        rows.append(line(draws, importance_weighted_nll(log_weights(draws)), truth))
    spread = (log_weights(DRAWS[-1]) + truth).exp().var(0).mean().item()  # of w / p
    return {"exact_nll": round(truth.mean().item(), 4), "variance_of_weights": round(spread, 4), "rows": rows}


def digits(quick: bool) -> Figures:
    """The bound on binarised digits: probabilities are grey values, drawn ten times to train and once to test."""
    from quality_data import divided, mnist_5k
    from quality_train import arrays, settle, train

    data, rng = mnist_5k(ROOT), np.random.default_rng(0)
    kept, held = divided(data.labels, 0.2, seed=0)

    def binary(images: np.ndarray, times: int) -> np.ndarray:
        repeated = np.repeat(images, times, axis=0)
        return np.where(rng.random(repeated.shape) < repeated / 255.0, 255, 0).astype(np.uint8)

    images = arrays(binary(data.images[kept], BINARISED), binary(data.images[held], 1))
    steps = STEPS // 100 if quick else STEPS
    model = {"hidden": [HIDDEN, HIDDEN], "activation": "tanh", "latent_dim": CODES}
    training = {"epochs": 10, "steps_per_epoch": steps // 10, "batch_size": BATCH, "seed": 0}
    settings = {"model": model, "training": training, "optimizer": {"lr": 1e-3, "schedule": "cosine"}}
    flat = {f"{section}.{key}": value for section, some in settings.items() for key, value in some.items()}
    trained = train(settle("mlp", flat), images, best=False)
    test = torch.from_numpy(np.asarray(images.validation.x[: 20 if quick else MEASURED]))
    rows = [line(draws, bound(trained.model, test, draws)) for draws in DRAWS[: 3 if quick else None]]
    return {
        "protocol": f"{len(kept)} digits of MNIST-5k binarised {BINARISED} times to train, {len(test)} to test; "
        f"784-{HIDDEN}-{HIDDEN}-{CODES}, tanh, Adam 1e-3 with cosine, {steps} steps of {BATCH}",
        "training_seconds": round(trained.seconds, 1),
        "rows": [{key: value for key, value in row.items() if key != "excess"} for row in rows],
    }


@torch.no_grad()
def bound(model: Any, raw: Tensor, draws: int, chunk: int = 100) -> Tensor:
    """The importance-weighted negative log-likelihood of raw images with `draws` draws of q: [N]."""
    torch.manual_seed(1)
    x, none = model.normalise(raw), torch.zeros(len(raw), 0)
    posterior = model.encode(x, none)
    deviation, found = (posterior.logvar / 2).exp(), []
    for start in range(0, draws, chunk):
        for _ in range(min(chunk, draws - start)):
            z = posterior.mu + deviation * torch.randn_like(posterior.mu)
            joint = Normal(0.0, 1.0).log_prob(z).sum(1) - bernoulli_distortion(x, model.decode(z, none))
            found.append(joint - Normal(posterior.mu, deviation).log_prob(z).sum(1))
    return importance_weighted_nll(torch.stack(found).double())


PARTS: dict[str, Callable[[bool], Figures]] = {"exact": exact, "digits": digits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=[*PARTS, "all"])
    parser.add_argument("--quick", action="store_true", help="little data and few steps: figures go nowhere")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    sys.path.insert(0, str(BENCHMARKS / "toy"))  # the family of `digits`
    torch.set_num_threads(1)
    path = given.output or (None if given.quick else RESULTS)
    known: Figures = json.loads(path.read_text()) if path and path.exists() else {}
    for part in PARTS if given.part == "all" else [given.part]:
        started = time.monotonic()
        figures = PARTS[part](given.quick)
        head = {
            "command": f"python benchmarks/importance_weighted.py {part}",
            "date": datetime.now(UTC).date().isoformat(),
        }
        head["versions"] = {"python": platform.python_version(), "torch": version("torch")}
        known[part] = {**head, "seconds": round(time.monotonic() - started, 1), **figures}
        print(json.dumps(known[part], indent=1), flush=True)
        if path:
            path.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
