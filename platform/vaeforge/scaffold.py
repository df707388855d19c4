"""Beginnings of plug-ins of one's own: a family, a sampler, a space; each keeps the contracts as it is written."""

import re
from collections.abc import Collection
from pathlib import Path

from vaeforge.errors import ConfigError, DataError

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PYPROJECT = """\
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"

[project]
name = "vaeforge-{dashed}"
version = "0.1.0"
requires-python = ">=3.11"

[project.entry-points."{group}"]
{name} = "vaeforge_{name}:{target}"

[tool.setuptools]
py-modules = ["vaeforge_{name}"]
"""
FAMILY = '''\
"""`{name}`: a fully connected VAE, with which a family of your own begins.

Shapes: raw samples [B, *event], latents [B, L]. `encode` and `decode` see normalised samples; what stands between them
is yours to replace. The contract tests build the family for `example`.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.family import Family
{imports}from vaeforge_models.likelihoods import squared_error_distortion
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior


class {Name}Settings(Settings):
    """The `model` section of the configuration: a space may search each of these."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 16
    hidden: Annotated[int, Field(ge=1, le=65536)] = 256


class {Name}VAE(VAE):
    """See the module's docstring."""

    def __init__(self, settings: {Name}Settings, spec: DataSpec):
        super().__init__()
        self.latent_dim, self.event_shape = settings.latent_dim, spec.event_shape
{scale}        self.encoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear(spec.dimensions, settings.hidden),
            nn.SiLU(),
            nn.Linear(settings.hidden, 2 * settings.latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(settings.latent_dim, settings.hidden),
            nn.SiLU(),
            nn.Linear(settings.hidden, spec.dimensions),
            nn.Unflatten(1, spec.event_shape),
        )

    def normalise(self, raw: Tensor) -> Tensor:
        return {normalise}

    def denormalise(self, x: Tensor) -> Tensor:
        return {denormalise}

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        return Posterior(*self.encoder({seen}).chunk(2, -1))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        return squared_error_distortion(x, output)


FAMILY = Family(
    name="{name}",
    settings={Name}Settings,
    build={Name}VAE,
    defaults={{"beta": {{"schedule": "linear", "value": 0.1, "warmup": 0.2}}}},
    presets={{
        "sample": {{"training": {{"epochs": 9}}}},
        "published": {{"model": {{"hidden": 1024}}, "training": {{"epochs": 60}}}},
    }},
    data="{data}",
    task="{task}",
    example=DataSpec({event}),
)
'''
LIKE = {
    "endoscopy": {
        "imports": "from vaeforge_models.precision import floating\n",
        "scale": "",
        "normalise": "floating(raw) / 255.0",
        "denormalise": "x * 255.0",
        "seen": "x",
        "data": "pictures",
        "task": "anomaly",
        "event": "(3, 32, 32)",
    },
    "fmri": {
        "imports": "from vaeforge_models.layers import Standardise\n",
        "scale": "        self.scale = Standardise(spec)  # by the training data; missing values stay so\n",
        "normalise": "self.scale(raw)",
        "denormalise": "self.scale.inverse(x)",
        "seen": "self.scale.filled(x)",
        "data": "series",
        "task": "series",
        "event": "(24,)",
    },
}
SAMPLER = '''\
"""`{name}`: draws near the best trial so far; with it a sampler of your own begins.

A proposal is a function of `self.memory` (costs, smaller is better), the seed and the trial's number, and of nothing
else, so that a search that was killed proposes the same again.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vaeforge.search.samplers.base import StatelessSampler
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.samplers.unit_scaling import from_unit, sample_space, to_unit, uniform
from vaeforge.search.space.dimensions import Range
from vaeforge.seeds import derive


class {Name}(StatelessSampler):
    """See the module's docstring."""

    def __init__(self, space, seed, spread):
        super().__init__(space, seed)
        self._spread = spread

    def propose(self, number):
        rng = np.random.default_rng(derive(self.seed, "ask", number))
        known = [trial for trial in self.memory.ended() if trial.complete]
        best = min(known, key=lambda trial: trial.finite).params if known else {{}}
        chance = uniform(rng)

        def draw(dimension):
            if isinstance(dimension, Range) and dimension.path in best and dimension.contains(best[dimension.path]):
                return from_unit(dimension, to_unit(dimension, best[dimension.path]) + rng.normal(0, self._spread))
            return chance(dimension)

        return self.space.with_fixed_params(sample_space(self.space.dimensions, draw))


class {Name}Settings(SamplerSettings):
    """Draws near the best trial so far."""

    name: Literal["{name}"] = "{name}"
    spread: Annotated[float, Field(gt=0, description="standard deviation, of a range")] = 0.1

    def build(self, space, seed):
        return {Name}(space, seed, self.spread)
'''
SPACE = """\
# What a search over the {family} family tries: tune_spaces/README.md says what may stand here, and which sampler and
# scheduler when. `vaeforge tune --family {family} --space tune_spaces/{name}.yaml`
family: {family}
objective: {{metric: val/nelbo, mode: min}}
fidelity: {{max: 9, min: 3, reduction: 3}}  # epochs of a full training, of the first comparison; one of 3 goes on
rung: schedule  # trials are compared with those of the same schedule
space:
  model.latent_dim: {{int: [4, 64], log: true}}
  beta.schedule:
    choice:
      constant: {{beta.value: {{float: [0.001, 4], log: true}}}}
      linear: {{beta.value: {{float: [0.001, 4], log: true}}, beta.warmup: {{float: [0.05, 0.33]}}}}
      cyclical: {{beta.max: {{float: [0.001, 4], log: true}}, beta.cycles: {{int: [2, 8]}}}}
  optimizer.lr: {{float: [0.0001, 0.005], log: true}}
"""


def new_family(root: Path, name: str, like: str, known: Collection[str]) -> list[Path]:
    """Write a package with one family that learns from what the family `like` learns from.

    Raises:
        ConfigError: if the name cannot be one, is taken, or nothing can be written after `like`.
        DataError: if there is something in its place.
    """
    if like not in LIKE:
        raise ConfigError(f"--like: got {like!r}, must be one of {', '.join(LIKE)}")
    text = FAMILY.format(name=name, Name=_camel(_free(name, known, "family")), **LIKE[like])
    return _package(root, name, text, "vaeforge.families", "FAMILY")


def new_sampler(root: Path, name: str, known: Collection[str]) -> list[Path]:
    """Write a package with one sampler; raises as `new_family`."""
    text = SAMPLER.format(name=name, Name=_camel(_free(name, known, "sampler")))
    return _package(root, name, text, "vaeforge.samplers", f"{_camel(name)}Settings")


def new_space(root: Path, name: str, family: str) -> list[Path]:
    """Write a space file for `family` into `tune_spaces/`; raises as `new_family`."""
    return _write({root / "tune_spaces" / f"{_free(name, (), 'space')}.yaml": SPACE.format(name=name, family=family)})


def _package(root: Path, name: str, text: str, group: str, target: str) -> list[Path]:
    folder, dashed = root / f"vaeforge-{name.replace('_', '-')}", name.replace("_", "-")
    project = PYPROJECT.format(name=name, dashed=dashed, group=group, target=target)
    return _write({folder / f"vaeforge_{name}.py": text, folder / "pyproject.toml": project})


def _write(files: dict[Path, str]) -> list[Path]:
    if there := [str(path) for path in files if path.exists()]:
        raise DataError(f"new: {', '.join(there)} is there already; take another name, or remove it")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def _free(name: str, known: Collection[str], kind: str) -> str:
    if not NAME.fullmatch(name):
        raise ConfigError(f"name: got {name!r}, must be a to z, 0 to 9 and _, a letter first, at most 40 of them")
    if name in known:
        raise ConfigError(f"name: got {name!r}, which is a {kind} already; call it something else")
    return name


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
