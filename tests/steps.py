"""One optimiser step of a small coordinate model, whole or in parts: what accumulation and ranks must not change.

`lipid` has what can go wrong: dropout (in attention, too), a calibrated likelihood, and a penalty between neighbours
within a batch.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samples import random_arrays
from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.training.batches import Batch
from vaeforge.training.gradient_step import StepNumber
from vaeforge.training.loop import TrainingData, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.train_step import TrainStep
from vaeforge_models.families import families
from vaeforge_models.objective import State

SAMPLES = 23
PARTS = (9, 9, 5)
AT = StepNumber(1, 5, key=7)  # t = 0.4
SMALL = {"model.hidden": 8, "model.heads": 2, "model.scales": 2, "model.blocks": 1, "model.latent_dim": 4}
SIZES: dict[str, dict[str, Any]] = {
    "cilia": {"model.width": 0.1},
    "endoscopy": {"model.width": 4},
    "fmri": {"model.hidden": [16]},
    "lipid": SMALL | {"model.scales": 1},
    "speckle": {"model.width": 0.05},
}
SCHEDULES: dict[str, tuple[dict[str, Any], State | None]] = {
    "constant": ({"schedule": "constant"}, None),
    "linear": ({"schedule": "linear"}, None),
    "cosine": ({"schedule": "cosine"}, None),
    "sigmoid": ({"schedule": "sigmoid"}, None),
    "cyclical": ({"schedule": "cyclical"}, None),
    "half_cosine": ({"schedule": "half_cosine"}, None),
    "progressive": ({"schedule": "progressive"}, None),
    "step": ({"schedule": "step"}, None),
    # the rates of the three parts are 0.78, 0.69 and 0.75: the capacity at t = 0.4 lies between them
    "capacity": ({"schedule": "capacity", "gamma": 10.0, "c_max": 0.75, "warmup": 0.25}, None),
    # so does the floor in the third latent dimension: 0.25, 0.17 and 0.26
    "free_bits": ({"schedule": "free_bits", "floor": 0.2}, None),
    "geco": ({"schedule": "geco", "tolerance": 5.0}, {"lambda": 7.0, "average": 0.1, "started": 1.0}),
    "geco, small": ({"schedule": "geco", "tolerance": 5.0}, {"lambda": 0.2, "average": 0.1, "started": 1.0}),
    "pi": ({"schedule": "pi", "target": 0.5}, {"integral": 0.2, "beta": 0.21}),
}


@dataclass(frozen=True)
class Case:
    """An experiment and the state that its schedule is in; none for the first one."""

    experiment: Experiment
    state: State | None


def cases(folder: Path, schedule: str, dropout: float = 0.0) -> dict[str, Case]:
    """Under one of SCHEDULES: squared error and calibrated, with and without total correlation and coupling."""
    (beta, state), found = SCHEDULES[schedule], {}
    for likelihood, correlation, spatial in product(("squared_error", "calibrated"), (1.0, 6.0), (0.0, 0.5)):
        given = {f"beta.{key}": value for key, value in beta.items()} | SMALL
        given |= {"model.likelihood": likelihood, "model.spatial_weight": spatial, "model.dropout": dropout}
        given |= {"training.total_correlation": correlation, "optimizer.clip_norm": 1e12}
        experiment = load(folder, "lipid", None, given).experiment
        found[f"{schedule}, {likelihood}, TC {correlation:g}, spatial {spatial:g}"] = Case(experiment, state)
    return found


def data() -> TrainingData:
    return random_arrays(families()["lipid"], SAMPLES)


def noise(latent_dim: int) -> Tensor:
    """[SAMPLES, L]"""
    return torch.randn(SAMPLES, latent_dim, generator=torch.Generator().manual_seed(5))


def outcome(case: Case, parts: tuple[int, ...], group: ProcessGroup | None = None) -> dict[str, Tensor]:
    """Gradients of one step over all samples in micro-batches of the sizes `parts`, its terms and the state after."""
    group, arrays = group or ProcessGroup(), data()
    model = untrained(case.experiment, arrays.spec)
    model.train()
    train_step = TrainStep(case.experiment, model, group, SAMPLES)
    if case.state is not None:
        train_step.schedule_state = dict(case.state)
    eps, batches = noise(model.latent_dim), []
    for part in torch.split(torch.arange(SAMPLES), list(parts)):
        mine = part[group.shard(len(part))]
        raw, condition = arrays.train.tensors(mine.numpy())
        batches.append(Batch(raw, condition, eps[mine], len(part)))
    terms, norm = train_step.step(batches, AT)
    found = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    state = torch.tensor(list(train_step.schedule_state.values()), dtype=torch.float64)
    return {**found, "terms": terms, "norm": norm, "state": state}


def differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """The largest difference in each tensor, relative to the largest value that is expected in it."""
    assert found.keys() == expected.keys()
    return {
        name: float((found[name] - value).abs().max() / value.abs().max().clamp(min=1e-12))
        for name, value in expected.items()
        if value.numel()
    }
