"""A sampler and a scheduler are one file each: those of CONTRIBUTING.md, in a foreign package, keep the contracts."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from outside import install_metadata
from vaeforge.errors import ConfigError
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.strategy_registry import SAMPLERS, samplers, strategies

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
(SAMPLER,) = (block for block in BLOCKS if "Settings(SamplerSettings)" in block)
(SCHEDULER,) = (block for block in BLOCKS if "Settings(SchedulerSettings)" in block)


def install(folder: Path, groups: dict[str, str]) -> None:
    """As pip would: two modules and their metadata."""
    (folder / "nearby_sampler.py").write_text(SAMPLER)
    (folder / "halftime_scheduler.py").write_text(SCHEDULER)
    install_metadata(folder, "sixths", "".join(f"[{group}]\n{point}\n" for group, point in groups.items()))


@pytest.mark.long
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
        assert strategies(SAMPLERS, SamplerSettings) == samplers()
        return
    with pytest.raises(ConfigError, match=message):
        strategies(SAMPLERS, SamplerSettings)
