"""Learning rates step by step against torch's schedulers, and the plateau of numbers below zero by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vaeforge.training import loop
from vaeforge.training.loop import fit
from vaeforge.training.lr_schedule import Plateau, options_at

Make = Callable[..., Any]


def adam(lr: float = 1e-3) -> torch.optim.Adam:
    return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=lr)


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 10, 300])
def test_cosine_is_that_of_torch(total: int) -> None:
    optimizer = adam(0.02)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)
    for step in range(total):
        options = options_at("cosine", 0.02, step, total)
        assert options is not None and options.beta1 is None
        assert options.lr == pytest.approx(reference.get_last_lr()[0], rel=1e-9)
        assert options.lr > 0  # the last step too moves the weights
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 10, 300, 1001])
def test_onecycle_is_that_of_torch_with_its_momentum(total: int) -> None:
    optimizer = adam()
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=total)
    for step in range(total):
        options = options_at("onecycle", 0.02, step, total)
        assert options is not None
        assert options.lr == pytest.approx(reference.get_last_lr()[0], rel=1e-9)
        assert options.beta1 == pytest.approx(optimizer.param_groups[0]["betas"][0], rel=1e-12)
        optimizer.step()
        if step + 1 < total:
            reference.step()


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_other_rates_do_not_follow_from_the_step(schedule: Any) -> None:
    assert options_at(schedule, 0.1, 3, 10) is None


@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
def test_each_step_of_a_training_takes_its_options(make_experiment: Make, make_arrays: Make, schedule: str) -> None:
    """Three epochs of four steps: what each epoch's last step took is what torch's scheduler says of it."""
    lr, total = 0.004, 12
    optimizer = adam(lr)
    kinds = torch.optim.lr_scheduler
    onecycle = schedule == "onecycle"
    reference = kinds.OneCycleLR(optimizer, lr, total) if onecycle else kinds.CosineAnnealingLR(optimizer, total)
    expected = []
    for step in range(total):
        expected.append(reference.get_last_lr()[0])
        optimizer.step()
        if step + 1 < total:
            reference.step()
    experiment = make_experiment(optimizer={"lr": lr, "schedule": schedule})
    found = [report.metrics["lr"] for report in fit(experiment, make_arrays())]
    assert found == pytest.approx([expected[3], expected[7], expected[11]], rel=1e-9)


def numbers(kind: str) -> Callable[[int], float]:
    return {"constant": lambda epoch: -25_000.0, "worsening": lambda epoch: -25_000.0 + 0.01 * epoch}[kind]


@pytest.mark.parametrize("kind", ["constant", "worsening"])
def test_numbers_below_zero_that_do_not_improve_lower_the_rate(make_experiment: Make, kind: str) -> None:
    """The first epoch sets the best; of 99 more, every eleventh halves: 1e-3 / 2^9 = 1.953e-6. Relative: never."""
    optimizer = adam(1e-3)
    plateau = Plateau(optimizer, make_experiment(training={"plateau_patience": 10, "plateau_factor": 0.5}).training)
    for epoch in range(100):
        plateau.step(numbers(kind)(epoch))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 / 2**9, rel=1e-12)


def test_any_lower_number_is_an_improvement(make_experiment: Make) -> None:
    for start in (-25_000.0, 0.0, 25_000.0):
        optimizer = adam(1e-3)
        plateau = Plateau(optimizer, make_experiment(training={"plateau_patience": 0}).training)
        for epoch in range(20):
            plateau.step(start - 1e-3 * epoch)
        assert optimizer.param_groups[0]["lr"] == 1e-3


def test_a_training_whose_nelbo_stays_negative_lowers_its_rate(
    make_experiment: Make, make_arrays: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "validate", lambda *_: {"val/nelbo": -25_000.0})
    training = {"epochs": 100, "steps_per_epoch": 1, "batch_size": 2, "patience": 200}
    reports = list(fit(make_experiment(training=training), make_arrays(size=16, margin=0)))
    # before epochs 1, 34, 67 and 100 there were 0, 32, 65 and 98 without an improvement; every eleventh halves
    halved = [0, 2, 5, 8]
    assert [report.metrics["lr"] for report in reports[::33]] == pytest.approx([1e-3 / 2**n for n in halved])


def test_a_checkpoint_with_a_relative_threshold_does_not_bring_it_back(make_experiment: Make, tmp_path: Path) -> None:
    """Early checkpoints hold all that torch's scheduler hands out, its relative threshold included."""
    training = make_experiment(training={"plateau_patience": 1, "plateau_factor": 0.1}).training
    early = torch.optim.lr_scheduler.ReduceLROnPlateau(adam(), factor=0.5, patience=10)
    early.step(-25_000.0)
    torch.save(early.state_dict(), tmp_path / "plateau.pt")
    optimizer = adam(1e-3)
    plateau = Plateau(optimizer, training)
    plateau.restore(torch.load(tmp_path / "plateau.pt", weights_only=True))
    assert plateau.state() == {"best": -25_000.0, "num_bad_epochs": 0, "last_epoch": 1}
    for _ in range(2):
        plateau.step(-25_000.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
