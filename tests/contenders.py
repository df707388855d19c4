"""Processes that compete for a champion."""

import time
from multiprocessing.connection import Connection
from typing import Any

PRELOADED = ["mlflow", "mlflow.store.model_registry.sqlalchemy_store", "vaeforge.registry.promote"]


def verdict() -> Any:
    """One that lets a version through."""
    from vaeforge.registry.verdict import RuleOutcome, Verdict

    return Verdict((), (RuleOutcome("likelihood", "better", "better", True),))


def contend(uri: str, model: str, pipe: Connection) -> None:
    """Promote what comes through `pipe`, (version, expected champion) each, and answer with `won` or the refusal."""
    from vaeforge.errors import RegistryError
    from vaeforge.registry.promote import promote
    from vaeforge.track.store import open_store

    client = open_store(uri)
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        version, expected = order
        try:
            promote(client, model, version, expected, "anna@lab", "contest", verdict())
            pipe.send("won")
        except RegistryError as error:
            pipe.send(f"{type(error).__name__}: {error}")


def promote_soon(uri: str, model: str, version: str, expected: str, pipe: Connection) -> None:
    """Say when the promotion begins, promote, and stay until killed."""
    from vaeforge.registry.promote import promote
    from vaeforge.track.store import open_store

    client = open_store(uri)
    pipe.send("begins")
    promote(client, model, version, expected, "anna@lab", "to be killed", verdict())
    pipe.send("done")
    time.sleep(60)
