"""Samplers of Optuna that are no part of this project: found by their import path, and tried before they are used."""

import importlib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from vaeforge.errors import ConfigError, nearest
from vaeforge.search.samplers.optuna_bridge.study import build_study
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.samplers.unit_scaling import sample_space, uniform
from vaeforge.search.space.dimensions import Choice, Dimension, suggest_all
from vaeforge.seeds import derive

TRIED = 12  # made-up trials with which a sampler is tried: more than most draw before their model begins
SHARED = "relative_params"  # part of the name of what TPE and GP write for processes beside them, and do not need


@dataclass(frozen=True)
class ForeignSampler:
    """A class that is to propose trials.

    Attributes:
        path: `module.Class`.
        kind: the class.
        options: arguments of its constructor beside `seed`.
    """

    path: str
    kind: type[BaseSampler]
    options: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def named(path: str, options: Mapping[str, Any] | None = None) -> "ForeignSampler":
        """The class at `path`.

        Raises:
            ConfigError: if there is none, it is no sampler, or takes no seed.
        """
        module, _, name = path.rpartition(".")
        if not module:
            raise ConfigError(f"got {path!r}, must be module.Class, for instance optuna.samplers.TPESampler")
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(f"the module {module!r} cannot be imported: {error}") from None
        kind = getattr(found, name, None)
        if not (inspect.isclass(kind) and issubclass(kind, BaseSampler)):
            samplers = [
                key for key, one in vars(found).items() if inspect.isclass(one) and issubclass(one, BaseSampler)
            ]
            raise ConfigError(f"{module} has no class {name!r} of optuna.samplers.BaseSampler{nearest(name, samplers)}")
        if inspect.isabstract(kind) or "seed" not in inspect.signature(kind).parameters:
            raise ConfigError("takes no seed, so that its proposals could not be had again; take another sampler")
        return ForeignSampler(path, kind, dict(options or {}))

    @property
    def option_names(self) -> list[str]:
        """What its constructor takes beside the seed."""
        return [name for name in inspect.signature(self.kind).parameters if name != "seed"]

    def build(self, seed: int) -> BaseSampler:
        """A sampler under `seed`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self.kind(**self.options, seed=seed)

    def models(self, dimensions: Sequence[Dimension], goals: int) -> bool:
        """Whether its model holds all `dimensions`, or it has none for several at once and draws each by itself."""
        try:
            held = self._held(dimensions, goals)
        except Exception:  # `require` says what it is
            return True
        return not held or held >= _free(dimensions)

    def require(self, dimensions: Sequence[Dimension], goals: int) -> None:
        """Try it.

        Raises:
            ConfigError: if it fails, models a part of the dimensions only, or keeps something in the study.
        """
        try:
            held, kept = self._held(dimensions, goals), self._kept(dimensions, goals)
        except Exception as error:  # whatever it is, it comes from code that nobody here knows
            several = f" with {goals} goals" if goals > 1 else ""
            raise ConfigError(f"cannot propose in this space{several}: {error}; take another sampler") from None
        left = _free(dimensions) - held
        if held and left:
            raise ConfigError(
                f"would draw {', '.join(sorted(left))} apart from its model; freeze it, or take another sampler"
            )
        if kept:
            raise ConfigError(
                f"keeps what it has learned in the study ({', '.join(kept)}), which is built anew for each proposal; "
                "take another sampler (tpe, gp, cmaes, qmc, nsga2 and grid are made for that)"
            )

    def _held(self, dimensions: Sequence[Dimension], goals: int) -> set[str]:
        """The names that its model holds at once."""
        study = self._tried(dimensions, goals)
        trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
        return set(study.sampler.infer_relative_search_space(study, trial))

    def _kept(self, dimensions: Sequence[Dimension], goals: int) -> list[str]:
        """The attributes that it writes into a study or trial when it proposes."""
        study = self._tried(dimensions, goals)
        trial = study.ask()
        suggest_all(dimensions, trial)
        # where samplers write it; Optuna shows it nowhere else
        storage = study._storage
        written = {**storage.get_study_system_attrs(study._study_id), **storage.get_trial_system_attrs(trial._trial_id)}
        return sorted(key for key in written if SHARED not in key)

    def _tried(self, dimensions: Sequence[Dimension], goals: int) -> optuna.Study:
        """A study of made-up trials, of which some failed, were stopped or run."""
        chance = uniform(np.random.default_rng(derive(0, "try", self.path)))
        points = [sample_space(dimensions, chance) for _ in range(TRIED)]
        ended = [
            FinishedTrial(n, point, "completed", tuple(float(n + goal) for goal in range(goals)), 3)
            for n, point in enumerate(points[:-3])
        ]
        ended.append(FinishedTrial(TRIED - 3, points[-3], "stopped", (1.0,) * goals, 1))
        ended.append(FinishedTrial(TRIED - 2, points[-2], "failed", None, 1))
        return build_study(ended, [RunningTrial(TRIED - 1, points[-1])], dimensions, goals, self.build(0))


def _free(dimensions: Sequence[Dimension]) -> set[str]:
    """The names of those that have more than one value."""
    several = [d for d in dimensions if (len(d.options) > 1 if isinstance(d, Choice) else d.low < d.high)]
    return {dimension.name for dimension in several}
