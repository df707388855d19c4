"""Optuna's samplers, each built for one proposal under a seed of its own: their random state is nowhere kept.

What the installed ones do with what is not a finished flat trial:
- TPE, grouped: one joint model for each group of parameters that occur together, so that conditional spaces are
  modelled; PRUNED trials rank after COMPLETE ones, those that came further first; RUNNING ones count as bad (constant
  liar); FAIL ones are ignored. Random until `startup` trials are COMPLETE or PRUNED.
- GP: models the parameters that all COMPLETE trials share and draws the others independently, so that it is only ever
  given a flat subspace; integers, logarithms and categorical parameters are modelled; RUNNING trials enter the
  acquisition function (qLogEI); PRUNED and FAIL ones are ignored.
"""

import warnings

import optuna
from optuna.samplers import GPSampler, TPESampler


def optuna_tpe(startup: int, seed: int) -> TPESampler:
    """Multivariate, grouped TPE."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `group` is one still
        return TPESampler(n_startup_trials=startup, multivariate=True, group=True, seed=seed)


def optuna_gp(seed: int) -> GPSampler:
    """A Gaussian process that models from its first trial on: who calls it sees to the startup."""
    return GPSampler(n_startup_trials=1, seed=seed)
