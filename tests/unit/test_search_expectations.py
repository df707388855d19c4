"""What data let a search expect is written into its space, so that the ledger holds it, and is said."""

import json
from pathlib import Path
from typing import Any

from samples import random_prepared
from vaeforge.config.loader import load
from vaeforge.search.expectations import with_expected
from vaeforge.search.samplers.vae import VAESettings
from vaeforge.search.space.space import Space, parse_space
from vaeforge_models.families import families

BETA = {"float": [0.001, 1], "log": True}


def space_with(search: Any) -> Space:
    schedules = {"constant": {"beta.value": BETA}, "half_cosine": {"beta.max": BETA}}
    dimensions = {"model.latent_dim": {"int": [2, 8]}, "beta.schedule": {"choice": schedules}}
    return parse_space({"family": "cilia", "search": search, "space": dimensions}, "space.yaml")


def test_data_become_betas_by_latent_size(tmp_path: Path) -> None:
    prepared, base = random_prepared(families()["cilia"], tmp_path), load(tmp_path, "cilia", "sample").experiment
    space, said = with_expected(space_with({"name": "vae", "startup": 5}), base, prepared)
    assert isinstance(space.search, VAESettings) and space.search.betas is not None
    assert space.search.startup == 5
    assert (min(space.search.betas), max(space.search.betas)) == (2, 8)
    assert "what a plane leaves of validation samples" in said and "at latent size 2" in said
    again = parse_space(json.loads(json.dumps(space.content)), "space.yaml")
    assert again.search == space.search


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    prepared, base = random_prepared(families()["cilia"], tmp_path), load(tmp_path, "cilia", "sample").experiment
    for search in ("tpe", {"name": "vae", "expect": False}, {"name": "vae", "betas": {8: 0.1}}):
        space = space_with(search)
        assert with_expected(space, base, prepared) == (space, "")
