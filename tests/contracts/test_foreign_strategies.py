"""A sampler and a scheduler are one file each: those that a foreign package brings are found and keep the contracts."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from vaeforge.errors import ConfigError
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.strategy_registry import _found, samplers

ROOT = Path(__file__).parents[2]
SAMPLER = '''
"""A sampler that some other package brings: draws near the best trial so far."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vaeforge.search.samplers.base import StatelessSampler
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.samplers.unit_scaling import from_unit, sample_space, to_unit, uniform
from vaeforge.search.space.dimensions import Range
from vaeforge.seeds import derive


class Nearby(StatelessSampler):
    def __init__(self, space, seed, spread):
        super().__init__(space, seed)
        self._spread = spread

    def propose(self, number):
        rng = np.random.default_rng(derive(self.seed, "ask", number))
        known = [trial for trial in self.memory.ended() if trial.complete]
        best = min(known, key=lambda trial: trial.finite).params if known else {}
        chance = uniform(rng)

        def draw(dimension):
            if isinstance(dimension, Range) and dimension.path in best and dimension.contains(best[dimension.path]):
                return from_unit(dimension, to_unit(dimension, best[dimension.path]) + rng.normal(0, self._spread))
            return chance(dimension)

        return self.space.with_fixed_params(sample_space(self.space.dimensions, draw))


class NearbySettings(SamplerSettings):
    """Draws near the best trial so far."""

    name: Literal["nearby"] = "nearby"
    spread: Annotated[float, Field(gt=0, description="standard deviation, of a range")] = 0.1

    def build(self, space, seed):
        return Nearby(space, seed, self.spread)
'''
SCHEDULER = '''
"""A scheduler that some other package brings: at half of the training, the worse of two trials stops."""

from typing import Literal

from vaeforge.search.schedulers.base import ImmediateScheduler, TrialDecision, compared
from vaeforge.search.schedulers.settings import SchedulerSettings


class Halftime(ImmediateScheduler):
    def __init__(self, epochs):
        super().__init__(epochs)
        self._values = []

    def _judge(self, trial, epoch, value):
        cutoff = sorted(self._values)[len(self._values) // 2] if self._values else value
        why = f"half-time: {compared(value, cutoff)} (of {len(self._values)} trials)"
        return TrialDecision(trial.number, epoch, "stop" if value > cutoff else "go", value, cutoff, why)

    def _record(self, number, group, epoch, value):
        self._values.append(value)


class HalftimeSettings(SchedulerSettings):
    """At half of the training, the worse half stops."""

    name: Literal["halftime"] = "halftime"

    def epochs(self, fidelity):
        return [fidelity.max // 2] if fidelity.max > 1 else []

    def build(self, context):
        return Halftime(self.epochs(context.fidelity))
'''


def install(folder: Path, groups: dict[str, str]) -> None:
    """As pip would: two modules and their metadata."""
    (folder / "nearby_sampler.py").write_text(SAMPLER)
    (folder / "halftime_scheduler.py").write_text(SCHEDULER)
    info = folder / "sixths-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sixths\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{point}\n" for group, point in groups.items()))


@pytest.mark.slow
def test_the_contracts_hold_for_strategies_from_outside(tmp_path: Path) -> None:
    points = {
        "vaeforge.samplers": "nearby = nearby_sampler:NearbySettings",
        "vaeforge.schedulers": "halftime = halftime_scheduler:HalftimeSettings",
    }
    install(tmp_path, points)
    paths = [str(tmp_path), str(ROOT / "platform"), str(ROOT / "models")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    files = [str(ROOT / f"tests/contracts/test_{name}.py") for name in ("samplers", "schedulers")]
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-k", "nearby or halftime", *files]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 20, done.stdout  # they were really picked up


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("gone = no_such_module:X", r"entry point gone = no_such_module:X \(vaeforge.samplers\): cannot be imported"),
        ("nearby = nearby_sampler:Nearby", "must be a class of SamplerSettings"),
        ("tpe = vaeforge.search.samplers.qmc:QMCSettings", None),
        ("other = nearby_sampler:Double", "the name 'tpe' exists already; call it something else"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_refused_in_words(
    point: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, {"vaeforge.samplers": point})
    with (tmp_path / "nearby_sampler.py").open("a") as file:
        file.write("\n\nclass Double(NearbySettings):\n    name: Literal['tpe'] = 'tpe'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "nearby_sampler", raising=False)
    assert point.split(" ")[0] in entry_points(group="vaeforge.samplers").names
    if message is None:  # one of ours by its own name again is the same one
        assert _found("samplers", "SAMPLER", SamplerSettings) == samplers()
        return
    with pytest.raises(ConfigError, match=message):
        _found("samplers", "SAMPLER", SamplerSettings)
