"""Samples on the device are read as those of a file are, and draws are the same for whoever takes them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from vaeforge.samples import Samples
from vaeforge.training.batches import epoch_batches, micro_batches
from vaeforge.training.loop import untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.resident import ResidentSamples, fits
from vaeforge.training.validation import validate

Make = Callable[..., Any]
CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_values_are_those_of_the_samples(kind: Any) -> None:
    highest = 60_000 if kind is np.uint16 else 200
    stored = np.random.default_rng(0).integers(0, highest, (9, 2, 3)).astype(kind)
    samples = Samples(stored, np.arange(18, dtype=np.float32).reshape(9, 2))
    resident = ResidentSamples.of(samples, CPU)
    for chosen in (slice(2, 7), np.array([8, 0, 3])):
        x, condition = samples.tensors(chosen)
        own = resident.tensors(chosen if isinstance(chosen, slice) else torch.from_numpy(chosen))
        assert torch.equal(own[0], x) and own[0].dtype == x.dtype and torch.equal(own[1], condition)
    assert len(resident) == 9 and len(resident[2:7]) == 5
    assert torch.equal(resident[2:7].tensors(slice(0, 1))[0], samples[2:7].tensors(slice(0, 1))[0])


def test_a_processor_keeps_no_second_copy(make_arrays: Make) -> None:
    assert not fits([make_arrays().train], CPU)


def test_validation_of_resident_samples_is_the_same(make_arrays: Make, make_experiment: Make) -> None:
    arrays = make_arrays()
    model = untrained(make_experiment(), arrays.spec)
    resident = ResidentSamples.of(arrays.validation, CPU)
    assert validate(model, resident, ProcessGroup(), 2) == validate(model, arrays.validation, ProcessGroup(), 2)


@pytest.mark.parametrize("at_once", [2, 3, 8])
def test_draws_of_z_may_be_decoded_together(
    make_arrays: Make, make_experiment: Make, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """As a GPU does: three draws, one by one, in two passes, in one."""
    arrays = make_arrays()
    model = untrained(make_experiment(), arrays.spec)
    one_by_one = validate(model, arrays.validation, ProcessGroup(), 3)
    monkeypatch.setattr("vaeforge.training.validation.draws_at_once", lambda x: at_once)
    assert validate(model, arrays.validation, ProcessGroup(), 3) == pytest.approx(one_by_one, rel=1e-6)


def test_the_batches_of_an_epoch() -> None:
    found = micro_batches(4, 2, 21)
    assert [(one.start, one.total, one.ends_step) for one in found] == [
        (0, 4, False),
        (4, 4, True),
        (8, 4, False),
        (12, 4, True),
        (16, 4, False),
        (20, 1, True),
    ]


def test_blocks_and_ranks_draw_the_same(make_arrays: Make, make_experiment: Make, monkeypatch: Any) -> None:
    """Whatever is drawn at once, and whoever holds which share: positions decide."""
    arrays, experiment = make_arrays(), make_experiment(training={"batch_size": 4, "accumulate": 2})

    def drawn(group: ProcessGroup) -> list[torch.Tensor]:
        steps = epoch_batches(experiment, arrays.train, arrays.spec, 5, 1, group)
        return [torch.cat([part.eps.flatten(), part.raw.flatten()]) for step in steps for part in step]

    whole = drawn(ProcessGroup())
    monkeypatch.setattr("vaeforge.training.batches.BLOCK_VALUES", 1)
    assert all(torch.equal(one, other) for one, other in zip(drawn(ProcessGroup()), whole, strict=True))
    for one, first, second in zip(whole, drawn(ProcessGroup(0, 2)), drawn(ProcessGroup(1, 2)), strict=True):
        assert len(one) == len(first) + len(second)
