"""Going on with another training's weights under one's own hyperparameters (population based training)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vaeforge.errors import CheckpointError
from vaeforge.training.checkpoint import load
from vaeforge.training.checkpoint_files import inherit
from vaeforge.training.early_stopping import BestEpoch, BestEpochState
from vaeforge.training.loop import EpochReport, fit
from vaeforge.training.lr_schedule import options_at
from vaeforge.training.storage import open_storage

Make = Callable[..., Any]
EPOCHS = 6
STILL = 1e-30  # a learning rate at which no float32 weight moves


@pytest.fixture
def train(make_experiment: Make, make_arrays: Make, tmp_path: Path) -> Callable[..., list[EpochReport]]:
    """Trains in the folder `name`; with a donor's report, from its state on."""

    def run(name: str, donor: EpochReport | None = None, until: int = EPOCHS, **sections: Any) -> list[EpochReport]:
        sections["training"] = {"epochs": EPOCHS, **sections.get("training", {})}
        experiment, folder, resume = make_experiment(**sections), tmp_path / name, []
        if donor is not None:
            resume = [inherit(donor.checkpoint, donor.best, folder)[0]]
        found = []
        for report in fit(experiment, make_arrays(), None, folder, resume, inherited=donor is not None):
            found.append(report)
            if report.epoch == until:
                break
        return found

    return run


def plain(reports: list[EpochReport]) -> list[Any]:
    return [(r.epoch, r.metrics, r.value, r.outcome) for r in reports]


def weights(report: EpochReport) -> dict[str, torch.Tensor]:
    """Parameters, without the running statistics that each batch moves."""
    state = load(report.checkpoint)["model"]
    return {name: tensor for name, tensor in state.items() if "running" not in name and "num_batches" not in name}


def test_the_weights_are_the_donors_bit_by_bit(train: Callable[..., list[EpochReport]]) -> None:
    donor = train("00003", until=2)[-1]
    heir = train("00007", donor, until=3, optimizer={"lr": STILL, "schedule": "constant"})[-1]
    untouched = train("00008", until=1, optimizer={"lr": STILL, "schedule": "constant"})[-1]
    assert (donor.epoch, heir.epoch) == (2, 3)
    for name, tensor in weights(donor).items():
        assert torch.equal(weights(heir)[name], tensor)
    assert any(not torch.equal(weights(untouched)[name], tensor) for name, tensor in weights(donor).items())


@pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine", "onecycle"])
@pytest.mark.slow
def test_under_the_same_hyperparameters_nothing_changes(train: Callable[..., list[EpochReport]], schedule: str) -> None:
    """The reference: a training that was never interrupted. Weights, moments and epoch are all that it depends on."""
    sections: dict[str, Any] = {"optimizer": {"schedule": schedule}, "beta": {"schedule": "pi", "target": 5.0}}
    whole = train("00003", **sections)
    donor = train("00004", until=2, **sections)[-1]
    heir = train("00007", donor, **sections)
    assert plain(heir) == plain(whole[2:])
    for name, tensor in weights(whole[-1]).items():
        assert torch.equal(weights(heir[-1])[name], tensor)


@pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine", "onecycle"])
def test_the_learning_rate_in_force_is_the_own_one(
    make_experiment: Make, train: Callable[..., list[EpochReport]], schedule: str
) -> None:
    donor = train("00003", until=2, optimizer={"lr": 1e-3, "schedule": schedule})[-1]
    own = {"lr": 4e-3, "schedule": schedule, "weight_decay": 0.25, "name": "adamw"}
    heir = train("00007", donor, until=3, optimizer=own)[-1]
    settings = make_experiment(optimizer=own).optimizer
    expected = options_at(settings.schedule, settings.lr, 3 * 4 - 1, EPOCHS * 4)
    assert heir.metrics["lr"] == (4e-3 if expected is None else expected.lr)
    group = load(heir.checkpoint)["descent"]["optimizer"]["param_groups"][0]
    assert (group["weight_decay"], group["decoupled_weight_decay"]) == (0.25, True)  # the latter is what makes it AdamW
    moments = load(heir.checkpoint)["descent"]["optimizer"]["state"][0]
    assert int(moments["step"]) == 3 * 4  # 23 samples in batches of 7: four steps an epoch, the donor's included


def test_a_plateau_that_the_donor_reached_is_forgotten(train: Callable[..., list[EpochReport]]) -> None:
    """At the donor's rate nothing improves, so each epoch after the first halves it; the heir starts at its own."""
    settings: dict[str, Any] = {
        "optimizer": {"lr": 1e-6, "schedule": "plateau"},
        "training": {"plateau_patience": 0, "plateau_factor": 0.5},
    }
    donor = train("00003", until=4, **settings)[-1]
    assert donor.metrics["lr"] < 1e-6
    heir = train("00007", donor, until=5, **(settings | {"optimizer": {"lr": 2e-6, "schedule": "plateau"}}))[-1]
    assert heir.metrics["lr"] == 2e-6
    plateau = load(heir.checkpoint)["plateau"]
    assert plateau["num_bad_epochs"] == 0 and plateau["best"] == heir.metrics["val/nelbo"]


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ({"schedule": "geco", "tolerance": 30.0, "ema": 0.9}, True),
        ({"schedule": "pi", "target": 5.0}, False),
        ({"schedule": "constant", "value": 2.0}, False),
    ],
    ids=["same kind", "another controller", "no state"],
)
def test_a_schedule_keeps_its_state_only_from_its_own_kind(
    make_experiment: Make, train: Callable[..., list[EpochReport]], own: dict[str, Any], kept: bool
) -> None:
    """At a tolerance of 30 nats the distortion of this data is far above it: lambda grows by 5 % a step."""
    donor = train("00003", until=2, beta={"schedule": "geco", "tolerance": 30.0})[-1]
    heir = train("00007", donor, until=3, beta=own, optimizer={"lr": STILL, "schedule": "constant"})[-1]
    state = load(heir.checkpoint)["descent"]["schedule"]
    if kept:
        assert state["lambda"] == pytest.approx(1.05**12)  # 2 epochs of the donor and 1 of its own, 4 steps each
    else:
        assert set(state) == set(make_experiment(beta=own).beta.initial())
    if own["schedule"] == "constant":
        assert heir.metrics["beta"] == 2.0


def test_the_same_call_again_gives_the_same(
    make_experiment: Make, make_arrays: Make, train: Callable[..., list[EpochReport]], tmp_path: Path
) -> None:
    """A crash after inheriting and before the first own report; meanwhile the donor has gone on and tidied up."""

    class CrashError(Exception):
        pass

    def crash() -> None:
        raise CrashError

    donor, own = train("00003", until=2)[-1], {"optimizer": {"lr": 3e-3, "schedule": "cosine"}}
    uninterrupted = train("00007", donor, **own)
    experiment = make_experiment(training={"epochs": EPOCHS}, **own)
    resume = [inherit(donor.checkpoint, donor.best, tmp_path / "00008")[0]]
    with pytest.raises(CrashError):
        next(fit(experiment, make_arrays(), None, tmp_path / "00008", resume, crash, inherited=True))
    open_storage(tmp_path / "00003").clear()
    assert plain(train("00008", donor, **own)) == plain(uninterrupted)


WILD = {"lr": 1.0, "schedule": "constant", "gradient_limit": 1e300}  # bad epochs, and not the end of the training


def test_the_donors_best_stays_until_something_is_better(
    make_experiment: Make, make_arrays: Make, train: Callable[..., list[EpochReport]], tmp_path: Path
) -> None:
    """The heir's rate destroys the weights, so its best epoch is the donor's, also after a crash and a move."""
    donor = train("00003", until=2)[-1]
    assert (donor.epoch, donor.best.epoch) == (2, 1)
    wild = {"optimizer": WILD}
    heir = train("00007", donor, until=5, **wild)
    part = "from-00003-epoch-00002"
    assert {(report.best.epoch, report.value) for report in heir} == {(1, donor.value)}
    assert open_storage(tmp_path / "00007").names() == ["epoch-00004.pt", "epoch-00005.pt", f"{part}/epoch-00001.pt"]
    (tmp_path / "00007").rename(tmp_path / "moved")
    resume = [heir[-1].checkpoint.within(tmp_path / "moved")]
    experiment = make_experiment(training={"epochs": EPOCHS}, **wild)
    last = list(fit(experiment, make_arrays(), folder=tmp_path / "moved", resume=resume))[-1]
    assert last.best == donor.best.within(tmp_path / "moved" / part)
    assert load(last.best)["epoch"] == 1


def test_what_was_inherited_goes_when_nothing_needs_it(train: Callable[..., list[EpochReport]], tmp_path: Path) -> None:
    """Until beta is full, here at the very end, the best epoch is the newest one."""
    warming = {"beta": {"schedule": "linear", "warmup": 1.0}}
    donor = train("00003", until=2, **warming)[-1]
    heir = train("00007", donor, **warming)
    assert [report.best.epoch for report in heir] == [3, 4, 5, 6]
    assert open_storage(tmp_path / "00007").names() == ["epoch-00005.pt", "epoch-00006.pt"]
    assert [path.name for path in (tmp_path / "00007").iterdir() if path.is_dir()] == []


def test_inheriting_from_one_that_inherited(train: Callable[..., list[EpochReport]], tmp_path: Path) -> None:
    wild = {"optimizer": WILD}
    first = train("00001", until=2)[-1]
    second = train("00002", first, until=3, **wild)[-1]
    third = train("00003", second, until=4, **wild)[-1]
    assert third.best == first.best.within(tmp_path / "00003/from-00002-epoch-00003")
    assert load(third.best)["epoch"] == first.best.epoch == 1


def test_falling_back_to_what_was_inherited_keeps_the_own_hyperparameters(
    make_experiment: Make, make_arrays: Make, train: Callable[..., list[EpochReport]], tmp_path: Path
) -> None:
    """The only own checkpoint is damaged: the training starts from the donor's state again, and is the same again."""
    donor = train("00003", until=2, beta={"schedule": "geco", "tolerance": 30.0})[-1]
    own: dict[str, Any] = {
        "optimizer": {"lr": 3e-3, "schedule": "constant"},
        "beta": {"schedule": "pi", "target": 5.0},
    }
    first = train("00007", donor, until=3, **own)[-1]
    first.checkpoint.path.write_bytes(b"damaged")
    taken = inherit(donor.checkpoint, donor.best, tmp_path / "00007")[0]
    experiment = make_experiment(training={"epochs": EPOCHS}, **own)
    again = next(fit(experiment, make_arrays(), None, tmp_path / "00007", [first.checkpoint, taken]))
    assert plain([again]) == plain([first])
    assert "SHA-256" in again.notes[0]


def test_a_damaged_donor_is_refused(train: Callable[..., list[EpochReport]]) -> None:
    donor = train("00003", until=1)[-1]
    content = bytearray(donor.checkpoint.path.read_bytes())
    content[len(content) // 2] ^= 1
    donor.checkpoint.path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"from-00003-epoch-00001/epoch-00001\.pt: SHA-256"):
        train("00007", donor)


def test_an_epoch_under_partial_beta_does_not_replace_an_inherited_best() -> None:
    """The donor's beta was full from the start, the heir's is from epoch 5 of 10 on."""
    heir = BestEpoch(epochs=10, patience=3, full_beta_at=0.5)
    heir.restore(BestEpochState(best=4.0, best_epoch=2, newest=4.5, stale=1))
    assert not heir.update(3, 1.0)  # low because beta was
    assert (heir.value, heir.best_epoch, heir.stale) == (4.0, 2, 1)
    assert not heir.update(5, 4.2) and heir.stale == 2
    assert heir.update(6, 3.9) and (heir.value, heir.best_epoch, heir.stale) == (3.9, 6, 0)
