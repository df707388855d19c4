"""The training loop: what resuming, failing and stopping do."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaeforge.errors import CheckpointError
from vaeforge.training.checkpoint import Checkpoint, load, load_model, load_newest, save
from vaeforge.training.early_stopping import BestEpoch, first_eligible_epoch
from vaeforge.training.loop import EpochReport, fit
from vaeforge.training.validation_metric import validation_metrics

Make = Callable[..., Any]


def plain(reports: list[EpochReport]) -> list[Any]:
    return [(r.epoch, r.metrics, r.value, r.outcome) for r in reports]


def test_training_improves_and_completes(make_experiment: Make, make_arrays: Make) -> None:
    reports = list(fit(make_experiment(training={"epochs": 8}), make_arrays()))
    assert [r.epoch for r in reports] == list(range(1, 9))
    assert reports[-1].outcome == "completed"
    assert reports[-1].metrics["train/loss"] < reports[0].metrics["train/loss"]


def test_the_same_seed_gives_the_same_numbers_and_another_one_does_not(
    make_experiment: Make, make_arrays: Make
) -> None:
    first, again = (plain(list(fit(make_experiment(), make_arrays()))) for _ in range(2))
    other = plain(list(fit(make_experiment(training={"seed": 1}), make_arrays())))
    assert first == again != other


@pytest.mark.parametrize(
    "schedule",
    [
        {"schedule": "constant"},
        {"schedule": "cyclical", "cycles": 2},
        {"schedule": "geco", "tolerance": 50.0},
        {"schedule": "pi", "target": 5.0},
    ],
    ids=lambda schedule: schedule["schedule"],
)
@pytest.mark.slow
def test_a_resumed_training_ends_as_an_uninterrupted_one(
    make_experiment: Make, make_arrays: Make, tmp_path: Path, schedule: dict[str, Any]
) -> None:
    experiment = make_experiment(training={"epochs": 5}, beta=schedule)
    whole = list(fit(experiment, make_arrays(), folder=tmp_path / "whole"))
    first = []
    for report in fit(experiment, make_arrays(), folder=tmp_path / "cut"):
        first.append(report)
        if report.epoch == 2:
            break
    checkpoints = [r.checkpoint for r in first if r.checkpoint]
    rest = list(fit(experiment, make_arrays(), folder=tmp_path / "cut", resume=checkpoints))
    assert plain(first) + plain(rest) == plain(whole)
    best, expected = rest[-1].best, whole[-1].best
    assert best is not None and expected is not None and best.epoch == expected.epoch
    for name, tensor in load(expected)["model"].items():
        assert torch.equal(tensor, load(best)["model"][name])


def test_a_damaged_checkpoint_is_passed_over_and_said(make_experiment: Make, make_arrays: Make, tmp_path: Path) -> None:
    experiment = make_experiment(training={"epochs": 3})
    checkpoints = [r.checkpoint for r in fit(experiment, make_arrays(), folder=tmp_path) if r.epoch < 3]
    content = bytearray(Path(checkpoints[1].file).read_bytes())
    content[len(content) // 2] ^= 1
    Path(checkpoints[1].file).write_bytes(content)
    report = next(fit(experiment, make_arrays(), folder=tmp_path, resume=checkpoints))
    assert report.epoch == 2
    assert "SHA-256" in report.notes[0]


def test_two_newest_and_the_best_checkpoint_stay(make_experiment: Make, make_arrays: Make, tmp_path: Path) -> None:
    reports = list(fit(make_experiment(training={"epochs": 6}), make_arrays(), folder=tmp_path))
    left = {path.name for path in tmp_path.iterdir()}
    assert {"epoch-00005.pt", "epoch-00006.pt", Path(reports[-1].best.file).name} <= left
    assert len(left) <= 4


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    class Unwritable:
        def __reduce__(self) -> Any:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        save(tmp_path / "a.pt", {"x": Unwritable()}, 1)
    assert list(tmp_path.iterdir()) == []


def test_truncated_checkpoints_are_noticed(tmp_path: Path) -> None:
    checkpoint = save(tmp_path / "a.pt", {"x": torch.arange(1000.0)}, 1)
    content = checkpoint.path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        checkpoint.path.write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            load(checkpoint)
        with pytest.raises(CheckpointError):
            load(replace(checkpoint, sha256=hashlib.sha256(content[:size]).hexdigest()))
    with pytest.raises(CheckpointError, match="not found"):
        load_newest([Checkpoint(str(tmp_path / "b.pt"), "0", 1)])


def test_a_checkpoint_of_another_model_is_refused(make_experiment: Make, make_arrays: Make, tmp_path: Path) -> None:
    report = next(fit(make_experiment(), make_arrays(), folder=tmp_path))
    other = make_experiment(model={"latent_dim": 6})
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(report.checkpoint, other, make_arrays().spec)


def test_nan_ends_the_training_and_keeps_the_last_finite_checkpoint(
    make_experiment: Make, make_arrays: Make, tmp_path: Path
) -> None:
    healthy = next(fit(make_experiment(), make_arrays(), folder=tmp_path))
    overflowing = make_experiment(beta={"schedule": "constant", "value": 1e300})
    reports = list(fit(overflowing, make_arrays(), folder=tmp_path, resume=[healthy.checkpoint]))
    assert [(r.epoch, r.outcome, r.value) for r in reports] == [(2, "nan", healthy.value)]  # the epoch that counts
    assert reports[0].checkpoint == reports[0].best == healthy.checkpoint
    assert load(healthy.checkpoint)["epoch"] == 1


def test_nan_before_any_epoch_counts_leaves_no_value(make_experiment: Make, make_arrays: Make) -> None:
    """Under a schedule whose beta is full only at the end, its first epochs are no result."""
    warming = make_experiment(beta={"schedule": "linear", "value": 1e300, "warmup": 1.0})
    assert [(r.outcome, r.value) for r in fit(warming, make_arrays())] == [("nan", None)]


def test_gradients_beyond_the_limit_end_the_training(make_experiment: Make, make_arrays: Make, tmp_path: Path) -> None:
    free = list(fit(make_experiment(), make_arrays(), folder=tmp_path / "free"))
    norms = [report.metrics["gradient_norm"] for report in free]
    limit = sorted(norms)[1]  # one epoch stays below it, or two
    limited = list(
        fit(make_experiment(optimizer={"gradient_limit": limit}), make_arrays(), folder=tmp_path / "limited")
    )
    ended = next(epoch for epoch, norm in enumerate(norms) if norm > limit)
    assert [report.outcome for report in limited] == [*["running"] * ended, "exploded"]
    assert limited[-1].value == (free[ended - 1].value if ended else None)
    assert limited[-1].metrics["gradient_norm"] == norms[ended]


def test_early_stopping(make_experiment: Make, make_arrays: Make) -> None:
    experiment = make_experiment(optimizer={"lr": 1e-9}, training={"epochs": 30, "patience": 2})
    reports = list(fit(experiment, make_arrays()))
    assert reports[-1].outcome == "early_stopped"
    assert len(reports) < 30


def test_plateau_lowers_the_learning_rate(make_experiment: Make, make_arrays: Make) -> None:
    experiment = make_experiment(
        optimizer={"lr": 1e-6}, training={"epochs": 6, "plateau_patience": 1, "plateau_factor": 0.1}
    )
    rates = [r.metrics["lr"] for r in fit(experiment, make_arrays())]
    assert rates[-1] < rates[0]


def test_beta_is_not_in_the_number_that_selects(make_experiment: Make, make_arrays: Make) -> None:
    """At a learning rate of nearly nothing the model stays the same, so only beta differs, and the value does not."""
    values = set()
    for beta in (0.0, 1.0, 50.0):
        experiment = make_experiment(
            optimizer={"lr": 1e-12}, training={"epochs": 1}, beta={"schedule": "constant", "value": beta}
        )
        values.add(round(next(fit(experiment, make_arrays())).value, 3))
    assert len(values) == 1


def test_steps_per_epoch_draws_as_many_batches_as_wished(make_experiment: Make, make_arrays: Make) -> None:
    pulses: list[int] = []
    experiment = make_experiment(training={"epochs": 1, "steps_per_epoch": 9})
    list(fit(experiment, make_arrays(), on_step=lambda: pulses.append(1)))
    metrics, draws = len(validation_metrics()), 3
    assert len(pulses) == 9 + metrics + draws  # one batch is all of the validation


def test_the_best_epoch_is_looked_for_from_the_first_full_beta_on() -> None:
    best = BestEpoch(epochs=10, patience=2, full_beta_at=0.25)
    assert first_eligible_epoch(10, 0.25) == 3
    best.update(1, 5.0)
    best.update(2, 1.0)  # low, but beta was not full
    assert best.value == 1.0
    best.update(3, 4.0)
    assert (best.value, best.best_epoch) == (4.0, 3)
    best.update(4, 4.5)
    assert not best.exhausted
    best.update(5, 4.2)
    assert best.exhausted
    copy = BestEpoch(10, 2, 0.25)
    copy.restore(best.state())
    assert copy.state() == best.state()


def test_validation_noise_is_the_same_for_any_split(make_experiment: Make, make_arrays: Make) -> None:
    from vaeforge.training.validation import validate
    from vaeforge_models.vae import build_seeded

    experiment, arrays = make_experiment(), make_arrays()
    model = build_seeded(experiment.definition.build, experiment.model, arrays.spec, seed=3)
    from vaeforge.training.process_group import ProcessGroup

    first = validate(model, arrays.validation, ProcessGroup(), 3)
    assert first == validate(model, arrays.validation[np.arange(len(arrays.validation))], ProcessGroup(), 3)
    assert first["val/nelbo_train_likelihood"] == pytest.approx(first["val/rate"] + first["val/distortion"])
