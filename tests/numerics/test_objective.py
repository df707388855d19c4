"""What every schedule promises, and that parts of a batch give the gradient of the whole batch's loss.

The first half is the contract: a new schedule in SCHEDULES is picked up by itself. The second half needs a case for
each schedule on every side of its kinks.
"""

import json
import math
import pickle
from types import MappingProxyType

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from vaeforge_models.controllers import Capacity, FreeBits, Geco, PiControl
from vaeforge_models.objective import (
    BetaSchedule,
    LossSums,
    State,
    batch_loss,
    effective_beta,
    surrogate_loss,
    training_distortion,
)
from vaeforge_models.scalars import logistic
from vaeforge_models.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Cyclical,
    HalfCosine,
    Linear,
    Progressive,
    Schedule,
    Sigmoid,
    Step,
)
from vaeforge_models.vae import Posterior

GRID = [step / 60 for step in range(61)]


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> BetaSchedule:
    return SCHEDULES[request.param]()


def course(schedule: BetaSchedule, steps: int = 60) -> list[State]:
    """The states of a training whose distortion falls while its rate rises and falls again."""
    states = [schedule.initial()]
    for step in range(1, steps + 1):
        distortion, rate = 200.0 * math.exp(-step / 20), 40.0 * math.sin(step / 15) ** 2
        states.append(schedule.update(states[-1], distortion, rate, step / steps))
    return states


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_union_and_the_dictionary_agree(name: str) -> None:
    schedule = TypeAdapter(Schedule).validate_python({"schedule": name})
    assert type(schedule) is SCHEDULES[name]
    assert schedule == SCHEDULES[name]()


def test_every_member_of_the_union_is_in_the_dictionary() -> None:
    tags = TypeAdapter(Schedule).json_schema()["discriminator"]["mapping"]
    assert set(tags) == set(SCHEDULES)


def test_settings_survive_json_and_pickle_and_have_a_hash(schedule: BetaSchedule) -> None:
    again = type(schedule).model_validate(json.loads(json.dumps(schedule.model_dump(mode="json"))))
    assert again == schedule == pickle.loads(pickle.dumps(schedule))
    assert hash(again) == hash(schedule)


def test_every_class_says_what_it_is(schedule: BetaSchedule) -> None:
    assert type(schedule).__doc__
    assert 0.0 <= schedule.full_beta_at() <= 1.0


def test_beta_is_finite_and_not_negative(schedule: BetaSchedule) -> None:
    for t, state in zip(GRID, course(schedule), strict=True):
        for beta in (schedule.beta(t), schedule.beta(t, state)):
            assert type(beta) is float and math.isfinite(beta) and beta >= 0.0


def test_without_a_state_it_answers_as_at_the_first_step(schedule: BetaSchedule) -> None:
    distortion, kl = torch.tensor(80.0), torch.tensor([0.05, 1.0, 3.0])
    for t in GRID:
        assert schedule.beta(t) == schedule.beta(t, schedule.initial())
        assert torch.equal(schedule.loss(distortion, kl, t), schedule.loss(distortion, kl, t, schedule.initial()))
    assert schedule.update({}, 80.0, 4.05, 0.5) == schedule.update(schedule.initial(), 80.0, 4.05, 0.5)


def test_the_loss_is_a_scalar_with_finite_gradients(schedule: BetaSchedule) -> None:
    for t, state in zip(GRID, course(schedule), strict=True):
        distortion = torch.tensor(80.0, requires_grad=True)
        kl = torch.tensor([0.0, 0.05, 1.0, 3.0], requires_grad=True)
        loss = schedule.loss(distortion, kl, t, state)
        assert loss.shape == () and torch.isfinite(loss)
        d_distortion, d_kl = torch.autograd.grad(loss, (distortion, kl))
        assert d_distortion > 0  # a worse reconstruction is never better
        assert d_kl.shape == (4,) and torch.isfinite(d_kl).all()


def test_states_are_flat_finite_floats(schedule: BetaSchedule) -> None:
    keys = schedule.initial().keys()
    for state in course(schedule):
        assert state.keys() == keys
        assert all(type(value) is float and math.isfinite(value) for value in state.values())
        assert json.loads(json.dumps(state, allow_nan=False)) == state


def test_ranks_agree(schedule: BetaSchedule) -> None:
    other = type(schedule).model_validate_json(schedule.model_dump_json())
    assert course(schedule) == course(other)


def test_advance_leaves_the_given_state_alone(schedule: BetaSchedule) -> None:
    before = schedule.initial()
    after = schedule.update(MappingProxyType(before), 80.0, 30.0, 0.5)
    assert before == schedule.initial()
    assert after is not before


def test_a_trial_cut_at_any_rung_is_the_same_as_one_that_is_not(schedule: BetaSchedule) -> None:
    states = course(schedule)
    for cut in (1, 20, 59):
        state = json.loads(json.dumps(states[cut]))
        for step in range(cut + 1, 61):
            distortion, rate = 200.0 * math.exp(-step / 20), 40.0 * math.sin(step / 15) ** 2
            state = schedule.update(state, distortion, rate, step / 60)
        assert state == states[-1]


BATCH, DIMENSIONS, LATENT = 10, 6, 4

CASES: list[tuple[BetaSchedule, State]] = [
    (Constant(value=0.3), {}),
    (Linear(), {}),
    (Cosine(), {}),
    (Sigmoid(), {}),
    (Cyclical(), {}),
    (Cyclical(shape="sigmoid"), {}),
    (HalfCosine(), {}),
    (Progressive(), {}),
    (Step(), {}),
    (Capacity(gamma=10.0, c_max=0.0), {}),  # the rate above the capacity
    (Capacity(gamma=10.0, c_max=1e3), {}),  # and below it
    (FreeBits(floor=0.0), {}),
    (FreeBits(floor=0.5), {}),  # some dimensions on either side: asserted below
    (FreeBits(floor=1e3), {}),
    (Geco(tolerance=1.0), {"lambda": 7.0, "average": 0.0, "started": 1.0}),
    (Geco(tolerance=1.0), {"lambda": 0.2, "average": 0.0, "started": 1.0}),
    (PiControl(), {"integral": 0.2, "beta": 0.21}),
]


class Toy(torch.nn.Module):
    """A linear VAE on float64 whose latent dimensions have KLs of different sizes."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(5)
        scale = torch.tensor([0.02, 0.1, 0.6, 1.5], dtype=torch.float64)
        encoder = torch.randn(DIMENSIONS, LATENT, generator=draw, dtype=torch.float64) * scale
        self.encoder = torch.nn.Parameter(encoder)
        self.logvar = torch.nn.Parameter(torch.randn(LATENT, generator=draw, dtype=torch.float64) * scale * 0.3)
        self.decoder = torch.nn.Parameter(torch.randn(LATENT, DIMENSIONS, generator=draw, dtype=torch.float64))

    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Distortion [B] and KL [B, L]."""
        posterior = Posterior(x @ self.encoder, self.logvar.expand(len(x), -1))
        return (x - posterior.sample(eps) @ self.decoder).square().sum(1), posterior.rate()


def data() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(6)
    x = torch.randn(BATCH, DIMENSIONS, generator=draw, dtype=torch.float64)
    return x, torch.randn(BATCH, LATENT, generator=draw, dtype=torch.float64)


def gradient(scalar: Tensor, toy: Toy) -> list[Tensor]:
    return list(torch.autograd.grad(scalar, list(toy.parameters())))


def test_the_cases_cover_every_schedule() -> None:
    assert {schedule.schedule for schedule, _ in CASES} == set(SCHEDULES)


def test_the_toy_has_dimensions_on_both_sides_of_the_floor() -> None:
    _, kl = Toy()(*data())
    below = kl.mean(0) < 0.5
    assert below.any() and not below.all()
    assert ((kl < 0.5) != below).any()  # single samples differ from the mean, so the order of mean and maximum matters


@pytest.mark.parametrize("calibrated", [False, True], ids=["plain", "calibrated"])
@pytest.mark.parametrize("cut", [5, 1, 0])
@pytest.mark.parametrize(("schedule", "state"), CASES, ids=lambda case: getattr(case, "schedule", ""))
def test_parts_of_a_batch_give_the_gradient_of_the_whole(
    schedule: BetaSchedule, state: State, cut: int, calibrated: bool
) -> None:
    toy, (x, eps), t = Toy(), data(), 0.2
    dimensions = DIMENSIONS if calibrated else None
    distortion, kl = toy(x, eps)
    one = distortion.mean()
    if calibrated:
        one = DIMENSIONS / 2 * torch.log(distortion.mean() / DIMENSIONS)
    reference = schedule.loss(one, kl.mean(0), t, state)
    expected = gradient(reference, toy)

    parts = [toy(x[part], eps[part]) for part in (slice(0, cut), slice(cut, BATCH))]
    own = [LossSums(distortion.sum(), kl.sum(0)) for distortion, kl in parts]
    means = sum(terms.distortion for terms in own) / BATCH, sum(terms.kl for terms in own) / BATCH
    assert isinstance(means[0], Tensor) and isinstance(means[1], Tensor)
    whole = batch_loss(schedule, means[0], means[1], t, state, dimensions)
    torch.testing.assert_close(whole.value, reference.detach())
    assert not whole.value.requires_grad and not whole.d_kl.requires_grad
    found = [gradient(surrogate_loss(terms, whole, BATCH), toy) for terms in own]
    torch.testing.assert_close([first + second for first, second in zip(*found, strict=True)], expected)


def test_the_mean_of_local_losses_would_be_wrong() -> None:
    # what the surrogate is for: the two differ by far more than rounding
    toy, (x, eps), schedule = Toy(), data(), FreeBits(floor=0.5)
    distortion, kl = toy(x, eps)
    right = gradient(schedule.loss(distortion.mean(), kl.mean(0), 0.0), toy)
    distortion, kl = toy(x, eps)  # the first graph is spent
    per_sample = torch.stack([schedule.loss(d, k, 0.0) for d, k in zip(distortion, kl, strict=True)]).mean()
    wrong = gradient(per_sample, toy)
    assert max(float((a - b).abs().max()) for a, b in zip(right, wrong, strict=True)) > 1e-3


def test_derivatives_worked_out_by_hand() -> None:
    kl = torch.tensor([0.2, 1.0])
    plain = batch_loss(Constant(value=0.5), torch.tensor(8.0), kl, 0.0)
    assert (plain.value.item(), plain.d_distortion.item(), plain.d_kl.tolist()) == (pytest.approx(8.6), 1.0, [0.5, 0.5])
    # d/dx 4/2 log(x / 4) at x = 8 is 2 / 8
    log = batch_loss(Constant(value=0.5), torch.tensor(8.0), kl, 0.0, log_mse_dimensions=4)
    assert log.value.item() == pytest.approx(2 * torch.log(torch.tensor(2.0)).item() + 0.6)
    assert log.d_distortion.item() == pytest.approx(0.25)
    # (rate + 4 (distortion - 1)) / 4
    geco = batch_loss(Geco(tolerance=1.0), torch.tensor(8.0), kl, 0.0, {"lambda": 4.0, "average": 0.0, "started": 1.0})
    assert (geco.d_distortion.item(), geco.d_kl.tolist()) == (1.0, [0.25, 0.25])


def test_gradients_are_found_where_they_are_switched_off_and_leave_the_means_alone() -> None:
    distortion, kl = torch.tensor(8.0, requires_grad=True), torch.ones(2, requires_grad=True)
    with torch.no_grad():
        whole = batch_loss(FreeBits(), distortion, kl, 0.0)
    assert whole.d_distortion.item() == 1.0
    assert distortion.grad is None and kl.grad is None


def test_means_of_double_precision_leave_terms_in_theirs() -> None:
    whole = batch_loss(Constant(), torch.tensor(8.0, dtype=torch.float64), torch.ones(2, dtype=torch.float64), 0.0)
    assert surrogate_loss(LossSums(torch.tensor(16.0), torch.full((2,), 4.0)), whole, total=2).dtype == torch.float32


def test_calibrated_distortion() -> None:
    mean = torch.tensor(6.0)
    assert training_distortion(mean, None) is mean
    assert training_distortion(mean, 6).item() == 0.0  # MSE = 1
    assert training_distortion(torch.tensor(0.0), 6).item() == -torch.inf


def test_effective_beta() -> None:
    assert effective_beta(0.5, dimensions=784, latent_dim=10, normalised=False) == 0.5
    # beta_norm = beta * L / D, so 0.5 means 0.5 * 784 / 10
    assert effective_beta(0.5, dimensions=784, latent_dim=10, normalised=True) == pytest.approx(39.2)
    with pytest.raises(ValueError, match="got dimensions=784, latent_dim=0, both must be >= 1"):
        effective_beta(0.5, dimensions=784, latent_dim=0, normalised=True)


def test_logistic() -> None:
    points = [-1e4, -750.0, -5.0, 0.0, 0.3, 5.0, 750.0, 1e4]
    reference = torch.sigmoid(torch.tensor(points, dtype=torch.float64)).tolist()
    assert [logistic(x) for x in points] == pytest.approx(reference, abs=1e-15)
