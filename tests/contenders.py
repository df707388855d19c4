"""Processes that want the same of MLflow at once: a new database, or to be champion.

They are forks of one process that has imported MLflow: its import takes seconds, in each of them.
"""

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["mlflow", "mlflow.store.model_registry.sqlalchemy_store", "vaeforge.registry.promote"])


def verdict() -> Any:
    """One that lets a version through."""
    from vaeforge.registry.verdict import RuleOutcome, Verdict

    return Verdict((), (RuleOutcome("likelihood", "better", "better", True),))


def open_and_write(uri: str, root: Path, gate: Any, failures: Any) -> None:
    """Open the database at `uri`, make an experiment if there is none, and write a run, when all have come so far."""
    from vaeforge.track.store import ensure_experiment, open_store

    gate.wait()
    try:
        client = open_store(uri)
        experiment = ensure_experiment(client, "together", root)
        client.log_metric(client.create_run(experiment).info.run_id, "x", 1.0)
    except BaseException as error:
        failures.put(repr(error))
        raise


def fetch_together(uri: str, root: Path, gate: Any, failures: Any) -> None:
    """Fetch the first version of the model of endoscopy when all have come so far, and say what went wrong."""
    from vaeforge.paths import Project
    from vaeforge.registry.fetch import fetch

    gate.wait()
    try:
        fetch("models:/vaeforge-endoscopy/1", Project(root), uri)
    except BaseException as error:
        failures.put(repr(error))


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


def tell_ledger(ledger: Path, uri: str, gate: Any, failures: Any) -> None:
    """Tell the store at `uri` a ledger, when all have come so far."""
    from vaeforge.track.replay import Replay

    gate.wait()
    try:
        Replay(ledger, uri, ledger.parents[3]).step()
    except BaseException as error:
        failures.put(repr(error))
        raise


def write_ledger(path: Path, number: int, lines: int, gate: Any, failures: Any) -> None:
    """Open the ledger at `path`, which others want too, and write `lines` of trial `number`."""
    from vaeforge.ledger.events import TrialLeased
    from vaeforge.ledger.file import Ledger

    gate.wait()
    try:
        ledger = Ledger(path)
        for attempt in range(1, lines + 1):
            ledger.append(TrialLeased(trial=number, attempt=attempt))
        ledger.close()
    except BaseException as error:
        failures.put(repr(error))
        raise
