"""The losses of twenty optimiser steps per family: computed here, kept beside as JSON, compared by a test.

They are computed in float64. In float32 CPUs round differently, and twenty steps amplify that to two percent of the
rate of `cilia`; in float64 the same steps stay equal to nine digits, whatever instructions a CPU has.

`make golden` writes them anew; do that only when a model or a loss was meant to change, and say why in the commit.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from samples import random_arrays
from vaeforge.config.loader import load
from vaeforge.training.loop import fit
from vaeforge_models.families import families

FOLDER = Path(__file__).parent
STEPS = 20
KEYS = ("train/loss", "train/distortion", "train/rate", "val/nelbo")


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Models, noise and losses of this type within the block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def losses(name: str, dtype: torch.dtype = torch.float64) -> list[dict[str, float]]:
    """Terms of each of twenty epochs of one step, sample preset, the family's example data."""
    torch.set_num_threads(1)
    short = {"training.epochs": STEPS, "training.steps_per_epoch": 1, "training.batch_size": 16}
    short |= {"training.patience": STEPS, "training.evaluation_samples": 1}
    with tempfile.TemporaryDirectory() as folder:
        experiment = load(Path(folder), name, "sample", short).experiment
    with default_dtype(dtype):
        reports = list(fit(experiment, random_arrays(families()[name], 32, 8)))
    return [{key: report.metrics[key] for key in KEYS} for report in reports]


def main() -> None:
    """Write the file of every family."""
    for name in sorted(families()):
        text = json.dumps(losses(name), indent=1) + "\n"
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
        print(f"wrote {FOLDER / name}.json")


if __name__ == "__main__":
    main()
