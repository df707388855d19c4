"""Importances of one goal: the numbers of Optuna's own evaluator, without what its import brings."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from project import ROOT
from reported import made_search
from vaeforge.search.results.ped_anova import ped_anova
from vaeforge.search.samplers.optuna_bridge.importance import by_optuna
from vaeforge.search.samplers.trials import FinishedTrial
from vaeforge.search.space.space import parse_space

SPACE: dict[str, Any] = {
    "family": "endoscopy",
    "fidelity": {"max": 6, "min": 2, "reduction": 3},
    "space": {
        "model.latent_dim": {"int": [2, 64], "log": True},
        "training.batch_size": {"int": [8, 40]},
        "optimizer.lr": {"float": [0.0001, 0.01], "log": True},
        "beta.schedule": {
            "choice": {
                "constant": {"beta.value": {"float": [0.001, 1], "log": True}},
                "linear": {"beta.value": {"float": [0.01, 2]}, "beta.warmup": {"float": [0.1, 0.9]}},
                "cyclical": {"beta.max": {"float": [0.001, 1], "log": True}, "beta.cycles": {"int": [1, 6]}},
            }
        },
    },
}


@pytest.mark.parametrize(("trials", "seed"), [(2, 0), (5, 1), (17, 2), (60, 3), (200, 4)])
def test_the_numbers_are_optunas(trials: int, seed: int) -> None:
    space, rng = parse_space(SPACE, "space"), random.Random(seed)
    known = []
    for number in range(trials):
        schedule = rng.choice(["constant", "linear", "cyclical"])
        params: dict[str, Any] = {
            "model.latent_dim": rng.randint(2, 64),
            "training.batch_size": rng.randint(8, 40),
            "optimizer.lr": 10 ** rng.uniform(-4, -2),
            "beta.schedule": schedule,
        }
        params |= {
            "constant": {"beta.value": 10 ** rng.uniform(-3, 0)},
            "linear": {"beta.value": rng.uniform(0.01, 2), "beta.warmup": rng.uniform(0.1, 0.9)},
            "cyclical": {"beta.max": 10 ** rng.uniform(-3, 0), "beta.cycles": rng.randint(1, 6)},
        }[schedule]
        cost = round(abs(params["optimizer.lr"] - 0.002) * 1e4 + rng.gauss(0, 3))  # some are equal
        known.append(FinishedTrial(number, params, "completed", (float(cost),), 6))
    ours, theirs = ped_anova(known, space.dimensions), by_optuna(known, space)
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)
    assert list(ours.values()) == sorted(ours.values(), reverse=True) and sum(ours.values()) == pytest.approx(1.0)


def test_a_report_needs_neither_scipy_nor_optuna(tmp_path: Path) -> None:
    made_search(tmp_path, "made", 30)
    program = (
        "import sys; from vaeforge.paths import Project; from vaeforge.report.step import make_report\n"
        "make_report(Project(), ['made'])\n"
        "heavy = {'scipy', 'sklearn', 'pandas', 'optuna', 'torch', 'mlflow', 'ray'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
