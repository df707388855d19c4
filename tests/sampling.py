"""A conditional space, and searches in it without training: what tests of samplers share."""

from typing import Any

from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.space.space import Space, parse_space

SPACE = {
    "model.latent_dim": {"int": [2, 64], "log": True},
    "training.batch_size": {"choice": [16, 32]},
    "optimizer.weight_decay": {"float": [0.1, 0.1]},
    "beta.schedule": {
        "choice": {
            "constant": {"beta.value": {"float": [0.1, 1]}},
            "linear": {"beta.value": {"float": [0.1, 2]}, "beta.warmup": {"float": [0.1, 0.3]}},
            "free_bits": {},
        }
    },
}
TPE, GP = "optuna:optuna.samplers.TPESampler", "optuna:optuna.samplers.GPSampler"
OPTIONS: dict[str, dict[str, Any]] = {
    "tpe": {"startup": 4},
    "gp": {"startup": 4},
    "vae": {"startup": 4},
    "nsga2": {"population": 4},
    TPE: {"options": {"multivariate": True, "n_startup_trials": 4}},
    GP: {"options": {"n_startup_trials": 2}},
}
GOALS = {"metrics": {"val/distortion": "min", "val/active_units": "max"}}
COUNT = {"gp": 11, GP: 11}  # trials of a search; a Gaussian process takes its time


def space_of(strategy: str, several: bool = False, **changes: Any) -> Space:
    content = {
        "family": "endoscopy",
        "fidelity": {"max": 9, "min": 3, "reduction": 3},
        "search": {"name": strategy, **OPTIONS.get(strategy, {})},
        "space": SPACE,
    }
    return parse_space(content | ({"objective": GOALS} if several else {}) | changes, "space.yaml")


def outcome(number: int, params: dict[str, Any], several: bool) -> FinishedTrial:
    """What became of a trial: every fourth failed, every fourth was stopped."""
    distance = abs(params["model.latent_dim"] - 9) + params.get("beta.value", 0.5)
    values = (distance, float(params["model.latent_dim"])) if several else (distance,)
    if number % 4 == 3:
        return FinishedTrial(number, params, "failed", None, 2)
    return FinishedTrial(
        number, params, "stopped" if number % 4 == 1 else "completed", values, 3 if number % 4 == 1 else 9
    )


def drive(
    sampler: Sampler, count: int, several: bool, at_once: int = 3
) -> tuple[list[FinishedTrial], list[RunningTrial]]:
    """Ask for `count` trials, `at_once` of them running; those that have ended, and those that run."""
    running: list[RunningTrial] = []
    ended = []
    for number in range(count):
        params = sampler.ask(number)
        assert params is not None
        running.append(RunningTrial(number, params))
        if len(running) == at_once:
            first = running.pop(0)
            ended.append(outcome(first.number, first.params, several))
            sampler.tell(ended[-1])
    return ended, running
