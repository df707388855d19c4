"""A family is one file: one that a foreign package brings is found, and the contract tests pick it up."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from outside import install_metadata

ROOT = Path(__file__).parents[2]
FAMILY = '''
"""A family that some other package brings: linear maps between vectors and latents."""

from vaeforge_models.family import Family
from vaeforge_models.layers import Standardise
from vaeforge_models.likelihoods import squared_error_distortion
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior
from torch import nn


class SixthSettings(Settings):
    latent_dim: int = 3


class SixthVAE(VAE):
    def __init__(self, settings, spec):
        super().__init__()
        self.latent_dim, self.event_shape = settings.latent_dim, spec.event_shape
        self.scale = Standardise(spec)
        self.encoder = nn.Linear(spec.dimensions, 2 * self.latent_dim)
        self.decoder = nn.Linear(self.latent_dim, spec.dimensions)

    def normalise(self, raw):
        return self.scale(raw)

    def denormalise(self, x):
        return self.scale.inverse(x)

    def encode(self, x, condition):
        return Posterior(*self.encoder(x).chunk(2, -1))

    def decode(self, z, condition):
        return self.decoder(z)

    def mean(self, output):
        return output

    def distortion(self, x, output):
        return squared_error_distortion(x, output)


FAMILY = Family(
    name="sixth",
    settings=SixthSettings,
    build=SixthVAE,
    defaults={},
    presets={"sample": {}, "published": {"model": {"latent_dim": 4}}},
    data="series",
    task="series",
    example=DataSpec((7,)),
)
'''


def install(folder: Path) -> None:
    """As pip would: a module and its metadata."""
    (folder / "sixth_family.py").write_text(FAMILY)
    install_metadata(folder, "sixth", "[vaeforge.families]\nsixth = sixth_family:FAMILY\n")


@pytest.mark.long
def test_the_contracts_hold_for_a_family_from_outside(tmp_path: Path) -> None:
    install(tmp_path)
    paths = [str(tmp_path), str(ROOT / "platform"), str(ROOT / "models")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    files = [str(ROOT / f"tests/contracts/test_{name}.py") for name in ("families", "tasks")]
    command = [sys.executable, "-m", "pytest", "-q", "-k", "sixth", *files]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 15, done.stdout  # they were really picked up
