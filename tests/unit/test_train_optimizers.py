"""Adam without the import of torch's compiler moves as torch's own does, and a training process never imports it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from project import CODE_PATH
from vaeforge.training.optimizers import Adam, AdamW

TRAINING = """
import sys
from pathlib import Path

from samples import random_arrays, small_experiment
from vaeforge.training.loop import fit
from vaeforge_models.families import families

family = families()["{family}"]
print(len(list(fit(small_experiment(family, Path("nowhere"), **{settings}), random_arrays(family)))), "epochs")
assert "torch" in sys.modules and not [name for name in sys.modules if name.startswith("torch._dynamo")]
"""


def moved(kind: type[torch.optim.Optimizer], other: type[torch.optim.Optimizer], steps: int = 6) -> list[torch.Tensor]:
    """Weights after some steps of `kind`, the last ones of which are made by `other`, which takes its state over."""
    generator = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3), (5,))]
    given = {"lr": 0.01, "weight_decay": 0.1, "fused": True}
    optimizer = kind(weights, **given)
    for step in range(steps):
        if step == steps // 2:
            state = optimizer.state_dict()
            optimizer = other(weights, **given)
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        sum((weight**2 * torch.randn(weight.shape, generator=generator)).sum() for weight in weights).backward()
        optimizer.param_groups[0]["lr"] = 0.01 * (1 + step)
        optimizer.step()
    return [weight.detach() for weight in weights]


@pytest.mark.parametrize(("ours", "torchs"), [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)])
def test_weights_are_those_of_torchs(ours: type[torch.optim.Optimizer], torchs: type[torch.optim.Optimizer]) -> None:
    expected = moved(torchs, torchs)
    for pair in ((ours, ours), (ours, torchs), (torchs, ours)):
        for found, wanted in zip(moved(*pair), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert issubclass(ours, torchs)


@pytest.mark.parametrize("ours", [Adam, AdamW])
def test_a_step_leaves_no_graph(ours: type[torch.optim.Optimizer]) -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = ours([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    assert weight.is_leaf and weight.requires_grad and torch.is_grad_enabled()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "settings"),
    [("endoscopy", {}), pytest.param("fmri", {"optimizer__name": "adamw"}, marks=pytest.mark.long)],
)
def test_a_training_imports_no_compiler(family: str, settings: dict[str, str]) -> None:
    """Two and a half seconds of processor time, and 70 MB, of every process that trains."""
    code = f"{CODE_PATH}:{Path(__file__).parents[1]}"
    program = TRAINING.format(family=family, settings=settings)
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": code}, capture_output=True, text=True)
    assert done.returncode == 0 and "epochs" in done.stdout, done.stderr
