"""Accumulated micro-batches against one batch, and one batch against the loss as its parts are defined."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import steps
from samples import random_arrays
from vaeforge.config.loader import load
from vaeforge.errors import ConfigError
from vaeforge.training.batches import Batch
from vaeforge.training.gradient_step import StepNumber
from vaeforge.training.loop import untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.step_loss import StepLoss
from vaeforge.training.train_step import TrainStep
from vaeforge_models.families import families
from vaeforge_models.layers import BatchNorm1d
from vaeforge_models.objective import NO_STATE
from vaeforge_models.schedules import SCHEDULES
from vaeforge_models.total_correlation import decompose
from vaeforge_models.vae import Posterior


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """In float64 what remains is rounding, far below what a wrong derivative would differ by."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def as_defined(case: steps.Case) -> dict[str, Tensor]:
    """The gradient of the loss of all samples as the documentation writes it, by torch alone; without dropout."""
    experiment, arrays, state = case.experiment, steps.data(), case.state or NO_STATE
    model, schedule = untrained(experiment, arrays.spec), experiment.beta
    raw, condition = arrays.train.tensors(slice(None))
    eps, t = steps.noise(model.latent_dim), 0.4
    x, output, mu, logvar = model(raw, condition, eps)
    posterior = Posterior(mu, logvar)
    distortion, kl = model.distortion(x, output).mean(), posterior.rate().mean(0)
    if model.calibrated:
        values = x.shape[1]
        distortion = values / 2 * torch.log((x - model.mean(output)).square().sum(1).mean() / values)
    # GECO below lambda = 1: rate + lambda * (distortion - tolerance), so a penalty of the reconstruction has lambda too
    size = min(1.0, state["lambda"]) if "lambda" in state else 1.0
    beta = 1.0 / state["lambda"] if "lambda" in state else schedule.beta(t, state)
    penalties = model.penalty(output, posterior).mean()
    if model.batch_coupled:
        penalties = penalties + model.batch_penalty(model.mean(output), condition)
    correlation = decompose(posterior.sample(eps), mu, logvar, steps.SAMPLES).total_correlation
    extra = (experiment.training.total_correlation - 1) * beta * correlation
    loss = schedule.loss(distortion, kl, t, state) + size * (penalties + extra)
    torch.autograd.backward([loss])
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.slow
@pytest.mark.parametrize("name", steps.SCHEDULES)
def test_every_loss_is_as_defined_in_one_batch_and_in_three(name: str, tmp_path: Path) -> None:
    for case, one in steps.cases(tmp_path, name).items():
        expected = as_defined(one)
        for parts in ((steps.SAMPLES,), steps.PARTS):
            found = steps.outcome(one, parts)
            gradients = {key: found[key] for key in expected}
            assert max(steps.differences(gradients, expected).values()) < 1e-9, (case, parts)


@pytest.mark.parametrize("name", steps.SCHEDULES)
@pytest.mark.slow
def test_three_parts_are_one_batch_under_dropout_too(name: str, tmp_path: Path) -> None:
    for case, one in list(steps.cases(tmp_path, name, dropout=0.3).items())[::7]:  # the first and the last
        whole, parts = steps.outcome(one, (steps.SAMPLES,)), steps.outcome(one, steps.PARTS)
        assert max(steps.differences(parts, whole).values()) < 1e-9, case


@pytest.mark.parametrize(
    ("beta", "by_hand"),
    [
        ({"schedule": "constant", "value": 0.4}, {"value": 0.6}),
        ({"schedule": "linear", "value": 0.4}, {"value": 0.6}),
        ({"schedule": "sigmoid", "value": 0.4}, {"value": 0.6}),
        ({"schedule": "cyclical", "max": 0.4, "min": 0.2}, {"max": 0.6, "min": 0.3}),
        ({"schedule": "half_cosine", "max": 0.4, "min": 0.2}, {"max": 0.6, "min": 0.3}),
        ({"schedule": "step", "knots": ((0.0, 0.2), (0.3, 0.4))}, {"knots": ((0.0, 0.3), (0.3, 0.6))}),
        ({"schedule": "capacity", "gamma": 4.0, "c_max": 1.0}, {"gamma": 6.0}),
        ({"schedule": "free_bits", "floor": 0.2, "value": 0.4}, {"value": 0.6}),
    ],
    ids=lambda given: given.get("schedule", ""),
)
def test_normalised_beta_scales_given_weights_and_no_nats(
    beta: dict[str, Any], by_hand: dict[str, Any], tmp_path: Path
) -> None:
    """D / L = 6 / 4 = 1.5 times the weight, that of the total correlation with it; capacity and floor stay."""
    given = steps.SMALL | {"training.total_correlation": 6.0, "optimizer.clip_norm": 1e12}
    normalised = given | {"training.normalised_beta": True, **{f"beta.{key}": value for key, value in beta.items()}}
    plain = given | {f"beta.{key}": value for key, value in (beta | by_hand).items()}
    found, expected = (
        steps.outcome(steps.Case(load(tmp_path, "lipid", None, one).experiment, None), (steps.SAMPLES,))
        for one in (normalised, plain)
    )
    assert max(steps.differences(found, expected).values()) < 1e-9


@pytest.mark.parametrize("schedule", ["geco", "pi"])
def test_a_weight_that_is_found_cannot_be_normalised(schedule: str, tmp_path: Path) -> None:
    given = {"beta.schedule": schedule, "training.normalised_beta": True}
    with pytest.raises(
        ConfigError, match=f"^configuration: training.normalised_beta: got true with beta.schedule {schedule}"
    ):
        load(tmp_path, "lipid", None, given)


def test_every_schedule_is_among_the_cases() -> None:
    assert {beta["schedule"] for beta, _ in steps.SCHEDULES.values()} == set(SCHEDULES)


def test_the_capacity_and_the_floor_lie_between_the_parts(tmp_path: Path) -> None:
    """Else the kink would not matter, and each part's own derivative would do."""
    case = steps.cases(tmp_path, "constant")["constant, squared_error, TC 1, spatial 0"]
    arrays = steps.data()
    model = untrained(case.experiment, arrays.spec)
    raw, condition = arrays.train.tensors(slice(None))
    kl = model.encode(model.normalise(raw), condition).rate()
    parts = torch.stack([part.mean(0) for part in kl.split(list(steps.PARTS))])
    assert parts.sum(1).min() < 0.75 < parts.sum(1).max()
    assert ((parts < 0.2).any(0) & (parts > 0.2).any(0)).any()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_says_truly_whether_its_loss_is_linear(name: str) -> None:
    """A loss is linear (up to a constant) where that of a mean of two batches is the mean of their losses."""
    schedule = SCHEDULES[name]()
    state = schedule.initial()
    draw = torch.Generator().manual_seed(0)
    gaps = []
    for _ in range(50):
        distortion = 100 * torch.rand(2, generator=draw)
        kl = torch.rand(2, 3, generator=draw) * torch.tensor([0.2, 1.0, 20.0])
        losses = torch.stack([schedule.loss(d, k, 0.5, state) for d, k in zip(distortion, kl, strict=True)])
        gaps.append(float((schedule.loss(distortion.mean(), kl.mean(0), 0.5, state) - losses.mean()).abs()))
    assert schedule.linear is (max(gaps) < 1e-9)


def test_a_linear_loss_is_followed_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = {"squared_error": 3, "calibrated": 6}
    for likelihood, expected in forward.items():
        calls: list[int] = []
        own = StepLoss.own

        def counted(self: StepLoss, *given: object, own: object = own, calls: list[int] = calls) -> object:
            calls.append(1)
            return own(self, *given)  # type: ignore[operator]

        monkeypatch.setattr(StepLoss, "own", counted)
        steps.outcome(steps.cases(tmp_path, "constant")[f"constant, {likelihood}, TC 1, spatial 0"], steps.PARTS)
        monkeypatch.undo()
        assert len(calls) == expected


def test_the_first_pass_leaves_running_statistics_alone(tmp_path: Path) -> None:
    """Three micro-batches move the running mean three times, also where they are measured before."""
    arrays = random_arrays(families()["fmri"], 12)
    means = {}
    for likelihood in ("squared_error", "calibrated"):
        given = {"model.likelihood": likelihood, "model.hidden": [8], "model.latent_dim": 3}
        experiment = load(tmp_path, "fmri", None, given).experiment
        model = untrained(experiment, arrays.spec).train()
        raw, condition = arrays.train.tensors(slice(None))
        batches = [Batch(part, condition[:4], torch.zeros(4, 3), 4) for part in raw.split(4)]
        TrainStep(experiment, model, ProcessGroup(), 12).step(batches, StepNumber(0, 1))
        layer = next(one for one in model.modules() if isinstance(one, BatchNorm1d))
        assert layer.num_batches_tracked is not None and int(layer.num_batches_tracked) == 3
        means[likelihood] = layer.running_mean
    assert means["squared_error"] is not None and means["calibrated"] is not None
    torch.testing.assert_close(means["squared_error"], means["calibrated"])
