"""Calls of MLflow's own functions: what they raise as errors for a person, and which store they work on."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vaeforge.errors import RegistryError
from vaeforge.track.store import redact


@contextmanager
def store_errors(uri: str, problem: str = "registration failed") -> Iterator[None]:
    """What the store at `uri` refuses, as an error for a person.

    Raises:
        RegistryError: instead of MLflow's own exception.
    """
    try:
        yield
    except Exception as error:
        if not _is_of_mlflow(error):
            raise
        raise RegistryError(
            f"{redact(uri)}: {problem} ({redact(str(error))}); if a run or version is not in this store yet, "
            "`vaeforge sync` and `vaeforge register` put it there, and both continue where they stopped"
        ) from error


def _is_of_mlflow(error: Exception) -> bool:
    """Whether MLflow raised `error`, which it cannot have done where nobody has imported it."""
    exceptions = sys.modules.get("mlflow.exceptions")
    return exceptions is not None and isinstance(error, exceptions.MlflowException)


@contextmanager
def tracking_at(uri: str) -> Iterator[None]:
    """Let MLflow's own functions, which know one global store, work on that at `uri`; afterwards all is as before."""
    import mlflow

    variable = "MLFLOW_TRACKING_URI"
    previous, in_environment = (
        (mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None),
        os.environ.get(variable),
    )
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(previous)
        if in_environment is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = in_environment
