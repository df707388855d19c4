"""Is the beta at which a family's last latent unit dies the one that the PCA spectrum of its data predicts?

    python benchmarks/collapse.py [FAMILY ...] [--trials 8] [--output benchmarks/collapse.json]

Each family is trained on its sample (preset `sample`, constant beta, no augmentation) under several betas, from the
predicted one on in steps of four and then by bisection, until it is known where validation shows no active unit any
more. The prediction is the linear theory of `platform/vaeforge/data/pca_spectrum.py`. One core, in this process.
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vaeforge.config.loader import load
from vaeforge.data.pca_spectrum import collapse_beta, likelihood_of
from vaeforge.data.prepare import ensure_prepared
from vaeforge.paths import Project
from vaeforge.training.loop import TrainingData, fit
from vaeforge_models.families import families

STRIDE = 4.0
OVERRIDES: dict[str, Any] = {"training.augment": False, "beta.schedule": "constant"}


def active_units(family: str, beta: float, project: Project) -> int:
    """Active units on validation data at the end of a whole training under `beta`."""
    experiment = load(project.root, family, None, {**OVERRIDES, "beta.value": beta}).experiment
    prepared = ensure_prepared(project, experiment)
    (*_, last) = fit(experiment, TrainingData(prepared.train, prepared.validation, prepared.spec))
    return int(last.metrics["val/active_units"])


def bracket(forecast: float, alive: Callable[[float], bool]) -> tuple[float, float]:
    """A beta at which units live and one, four times as large, at which none does, searched from the prediction on."""
    beta = forecast
    if alive(beta):
        while alive(beta * STRIDE):
            beta *= STRIDE
        return beta, beta * STRIDE
    while not alive(beta / STRIDE):
        beta /= STRIDE
    return beta / STRIDE, beta


def examine(family: str, project: Project, trials: int) -> dict[str, Any]:
    """The predicted and the trained beta of collapse, and every training on the way."""
    started = time.monotonic()
    experiment = load(project.root, family, None, OVERRIDES).experiment
    spectrum, likelihood = ensure_prepared(project, experiment).manifest.spectrum, likelihood_of(experiment)
    forecast = collapse_beta(spectrum, likelihood)
    tried: dict[float, int] = {}

    def alive(beta: float) -> bool:
        tried[beta] = active_units(family, beta, project)
        print(f"{family}: beta {beta:.4g}: {tried[beta]} active units", flush=True)
        return tried[beta] > 0

    low, high = bracket(forecast, alive)
    while len(tried) < trials:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if alive(middle) else (low, middle)
    found = math.sqrt(low * high)
    return {
        "family": family,
        "likelihood": likelihood,
        "predicted": forecast,
        "trained": found,
        "trained_between": [low, high],
        "trained_over_predicted": found / forecast,
        "within_20_percent": abs(found / forecast - 1) <= 0.2,
        "active_units_by_beta": dict(sorted(tried.items())),
        "seconds": time.monotonic() - started,
    }


def main() -> None:
    """Examine families and write what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("family", nargs="*", default=sorted(families()))
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/collapse.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    known = json.loads(given.output.read_text())["families"] if given.output.exists() else {}
    for family in given.family:
        known[family] = examine(family, Project(), given.trials)
        machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        content = {"command": "python " + " ".join(sys.argv), "torch": version("torch"), **machine}
        given.output.write_text(json.dumps({**content, "trials": given.trials, "families": known}, indent=1) + "\n")


if __name__ == "__main__":
    main()
