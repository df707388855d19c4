"""Twenty steps of every family give the losses that are kept in tests/golden; `make golden` writes them anew."""

import json

import pytest

from golden.compute import FOLDER, STEPS, losses
from vaeforge_models.families import families


@pytest.mark.parametrize("name", sorted(families()))
def test_losses_are_the_kept_ones(name: str) -> None:
    kept = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = losses(name)
    assert len(found) == len(kept) == STEPS
    for step, (now, then) in enumerate(zip(found, kept, strict=True), start=1):
        assert now == pytest.approx(then, rel=1e-7, abs=0), f"step {step}"
