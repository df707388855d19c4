"""Checkpoints of real trainings: at a URL, moved, damaged on one rank only."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from vaeforge.errors import CheckpointError
from vaeforge.training.checkpoint import Checkpoint, load, load_model, load_newest, save
from vaeforge.training.checkpoint_files import best_beside, download
from vaeforge.training.loop import EpochReport, fit
from vaeforge.training.storage import name_of, open_storage
from vaeforge.training.training_state import read_state

Make = Callable[..., Any]


def plain(reports: list[EpochReport]) -> list[Any]:
    return [(r.epoch, r.metrics, r.value, r.outcome) for r in reports]


def names(reports: list[EpochReport]) -> list[Any]:
    return [
        (name_of(r.checkpoint.file), name_of(r.best.file), r.best.epoch) for r in reports if r.checkpoint and r.best
    ]


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/00000"


@pytest.mark.slow
def test_a_training_at_a_url_is_that_in_a_folder(
    make_experiment: Make, make_arrays: Make, tmp_path: Path, url: str
) -> None:
    experiment = make_experiment(training={"epochs": 6})
    here = list(fit(experiment, make_arrays(), folder=tmp_path))
    first = list(zip(range(3), fit(experiment, make_arrays(), folder=url), strict=False))
    there = [report for _, report in first]
    there += fit(experiment, make_arrays(), folder=url, resume=[r.checkpoint for r in there if r.checkpoint])
    assert plain(there) == plain(here)
    assert names(there) == names(here)
    assert open_storage(url).names() == open_storage(tmp_path).names()
    best = download(there[-1].best, tmp_path / "home")
    for name, tensor in load(here[-1].best)["model"].items():
        assert torch.equal(tensor, load(best)["model"][name])
    model = load_model(best, experiment, make_arrays().spec)
    assert not model.training


def test_the_content_of_a_checkpoint_is_read_back_and_keeps_its_keys(
    make_experiment: Make, make_arrays: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(beta={"schedule": "pi"}, training={"epochs": 3})
    *_, last = fit(experiment, make_arrays(), folder=tmp_path)
    content = load(last.checkpoint)
    assert set(content) == {"epoch", "model", "descent", "plateau", "selection", "best"}  # as they always were
    assert set(content["descent"]) == {"optimizer", "kind", "schedule", "scaler"}
    state = read_state(content, "file")
    assert (state.epoch, state.train_step.schedule_kind, set(state.train_step.schedule)) == (
        3,
        "pi",
        {"integral", "beta"},
    )
    assert state.content() == content
    del content["selection"]["stale"], content["descent"]["kind"]
    with pytest.raises(CheckpointError, match=r"file: is not the state of a training .*kind"):
        read_state(content, "file")


def test_a_damaged_checkpoint_at_a_url_is_passed_over(make_experiment: Make, make_arrays: Make, url: str) -> None:
    reports = list(fit(make_experiment(training={"epochs": 3}), make_arrays(), folder=url))
    checkpoints = [r.checkpoint for r in reports[1:]]
    open_storage(url).write("epoch-00003.pt", lambda file: torch.save({"epoch": 3}, file))
    found = load_newest(checkpoints)
    assert found.checkpoint == checkpoints[0] and found.content["epoch"] == 2
    assert "SHA-256" in found.problems[0]
    open_storage(url).clear()
    with pytest.raises(CheckpointError, match=r"epoch-00003\.pt: not found; .*epoch-00002\.pt: not found"):
        load_newest(checkpoints)


def test_ranks_go_on_from_the_same_checkpoint(tmp_path: Path) -> None:
    """What one rank cannot read is passed over by all, or each would train another state."""
    checkpoints = [save(tmp_path / f"epoch-{epoch:05d}.pt", {"epoch": epoch}, epoch) for epoch in (1, 2, 3)]
    others = iter([False, True, False])  # another rank reads 3 well, not 2, and 1 well
    checkpoints[2].path.unlink()
    found = load_newest(checkpoints, any_rank=lambda failed: failed | next(others))
    assert found.checkpoint == checkpoints[0]
    assert "epoch-00003.pt: not found" in found.problems[0]
    assert "epoch-00002.pt: another rank" in found.problems[1]
    with pytest.raises(CheckpointError, match="another rank"):
        load_newest(checkpoints[:1], any_rank=lambda failed: True)


def test_a_moved_training_knows_its_best(make_experiment: Make, make_arrays: Make, tmp_path: Path) -> None:
    """After the first epoch the learning rate is too high for anything to get better."""
    experiment = make_experiment(training={"epochs": 5})
    first = next(fit(experiment, make_arrays(), folder=tmp_path / "old"))
    worse = make_experiment(training={"epochs": 5}, optimizer={"lr": 1.0})
    reports = list(fit(worse, make_arrays(), folder=tmp_path / "old", resume=[first.checkpoint]))
    assert (reports[-1].best.epoch, reports[-1].checkpoint.epoch) == (1, 5)
    (tmp_path / "old").rename(tmp_path / "new")
    moved = reports[2].checkpoint.within(tmp_path / "new")
    assert moved.epoch == 4
    again = list(fit(worse, make_arrays(), folder=tmp_path / "new", resume=[moved]))
    assert again[-1].best == first.best.within(tmp_path / "new")
    assert load(again[-1].best)["epoch"] == 1
    assert plain(again) == plain(reports[3:])


def test_the_best_lies_beside_what_is_loaded() -> None:
    def at(file: str) -> Checkpoint:
        return Checkpoint(file, "0", 1)

    inherited = "from-00003-epoch-00006"
    for loaded, best, expected in [
        ("/new/00007/epoch-00008.pt", "epoch-00002.pt", "/new/00007/epoch-00002.pt"),
        ("/new/00007/epoch-00008.pt", "/old/00007/epoch-00002.pt", "/new/00007/epoch-00002.pt"),
        ("s3://b/00007/epoch-00008.pt", f"{inherited}/epoch-00004.pt", f"s3://b/00007/{inherited}/epoch-00004.pt"),
        (f"/new/00007/{inherited}/epoch-00006.pt", "epoch-00004.pt", f"/new/00007/{inherited}/epoch-00004.pt"),
        # the donor had inherited its best itself; `inherit` put both into one part
        (
            f"/new/00007/{inherited}/epoch-00006.pt",
            "from-00001-epoch-00003/epoch-00002.pt",
            f"/new/00007/{inherited}/epoch-00002.pt",
        ),
    ]:
        assert best_beside(at(loaded), at(best)).file == expected


def test_a_place_that_does_not_remove_is_noted(
    make_experiment: Make, make_arrays: Make, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = MemoryFileSystem.rm_file

    def refuse(self: MemoryFileSystem, path: str) -> None:
        if not path.endswith(".tmp"):  # what is only moved
            raise PermissionError("read and write, but not delete")
        remove(self, path)

    storage = open_storage(url)
    storage.write("epoch-00000.pt", lambda file: None)
    monkeypatch.setattr(MemoryFileSystem, "rm_file", refuse)
    report = next(fit(make_experiment(), make_arrays(), folder=url))
    assert "could not be removed (read and write, but not delete)" in report.notes[0]
    assert load(report.checkpoint)["epoch"] == 1


def test_a_place_that_cannot_be_written_ends_the_training(
    make_experiment: Make, make_arrays: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="epoch 1: the checkpoint could not be written"):
        next(fit(make_experiment(), make_arrays(), folder=tmp_path / "file" / "below"))


def test_a_checkpoint_of_another_model_is_not_resumed(make_experiment: Make, make_arrays: Make, tmp_path: Path) -> None:
    report = next(fit(make_experiment(), make_arrays(), folder=tmp_path))
    other = make_experiment(model={"latent_dim": 6})
    for inherited in (False, True):
        with pytest.raises(CheckpointError, match=r"epoch-00001\.pt: does not fit the model"):
            next(fit(other, make_arrays(), folder=tmp_path, resume=[report.checkpoint], inherited=inherited))
    with pytest.raises(CheckpointError, match="SHA-256"):
        next(fit(other, make_arrays(), folder=tmp_path, resume=[replace(report.checkpoint, sha256="0")]))
