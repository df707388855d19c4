"""`vaeforge chaos` itself: a search under random faults loses nothing, and what is lost is noticed.

`make test-faults` runs the long form; docs/reliability.md has an hour of it.
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from project import PARAMS, SmallProject
from vaeforge.chaos.faults import FAULTS
from vaeforge.chaos.invariants import Watched, check_search, problems_in
from vaeforge.chaos.processes import MARK

SLOWER = PARAMS.replace("steps_per_epoch: 4", "steps_per_epoch: 20")
SHORT = "kill-worker,kill-dispatcher,kill-driver,pause-worker,torn-line,tracking-504"


def chaos(project: SmallProject, *options: str, seconds: float) -> Any:
    """The report of a run that held."""
    (project.root / "params.yaml").write_text(SLOWER)
    output = project.run("chaos", "--json", *options, seconds=seconds)
    return json.loads(output.splitlines()[-1])


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_search_under_six_faults_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    report = chaos(
        SmallProject(tmp_path), "--minutes", "4", "--injections", "6", "--seed", "3", "--faults", SHORT, seconds=480
    )
    assert report["holds"] and len(report["injections"]) == 6
    assert {injection["fault"] for injection in report["injections"]} == {*SHORT.split(",")}
    assert report["sessions"] >= 3 and report["repeated"] == 0  # two kills of the driver


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_a_search_under_every_kind_of_fault_loses_nothing(tmp_path: Path) -> None:
    injections = str(len(FAULTS))
    report = chaos(SmallProject(tmp_path), "--minutes", "40", "--injections", injections, "--seed", "14", seconds=2900)
    assert report["holds"] and {injection["fault"] for injection in report["injections"]} >= {"kill-raylet", "kill-gcs"}


def test_faults_that_there_are_not_are_refused_with_the_nearest(tmp_path: Path) -> None:
    output = SmallProject(tmp_path).call("chaos", "--minutes", "0", "--faults", "kill-wroker", code=2)
    assert "--minutes: got 0, must be > 0" in output
    assert "'kill-wroker', must be of" in output and "did you mean 'kill-worker'?" in output
    assert not (tmp_path / "artifacts/chaos").exists()


def change(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, cluster: dict[str, str]) -> SmallProject:
    """A project with a search that has ended, and is tracked."""
    project = SmallProject(tmp_path_factory.mktemp("tracked"))
    project.run("tune", "--name", "t", "--trials", "3", "--epochs", "2", "--register", "false", **cluster)
    return project


@pytest.mark.long
def test_what_breaks_an_invariant_is_found(tracked: SmallProject) -> None:
    folder, database = tracked.root / "artifacts/searches/t", tracked.root / "mlflow.db"

    def problems() -> list[str]:
        return problems_in(check_search(folder, None, Watched(str(tracked.root)), f"sqlite:///{database}"))

    assert problems() == []
    best = next(folder.rglob("epoch-*.pt"))
    for path, content in (
        (folder / "ledger.jsonl", (folder / "ledger.jsonl").read_bytes() + b"no event\n"),
        (best, best.read_bytes()[:-1]),
        (folder / "optuna.journal", (folder / "optuna.journal").read_bytes()[:-200]),
        (folder / ".manifest.json.1.tmp", b""),
    ):
        kept = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        assert len(problems()) >= 1, path
        path.write_bytes(kept) if kept is not None else path.unlink()
    assert problems() == []
    for statement, told in (
        ("UPDATE tags SET value = 'failed' WHERE key = 'vaeforge.state' AND value = 'completed'", "state"),
        ("DELETE FROM metrics WHERE key = 'epoch_seconds' AND step = 1", "points"),
        ("UPDATE runs SET status = 'RUNNING'", "still runs"),
        ("DELETE FROM tags WHERE key = 'mlflow.parentRunId'", "has no run"),
    ):
        change(database, statement)
        assert any(line.startswith("MLflow agrees") and told in line for line in problems()), statement


def test_a_process_that_a_search_leaves_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vaeforge.chaos import processes

    monkeypatch.setattr(processes, "PATIENCE", 0.5)
    left = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        env={**os.environ, MARK: str(tmp_path)},
        stdin=subprocess.PIPE,
    )
    try:
        (found,) = processes.left_behind(tmp_path, str(tmp_path))
        assert found.startswith(f"process {left.pid}: ")
        assert processes.left_behind(tmp_path, "of another search") == []
    finally:
        left.communicate()  # it ends with its input
    assert processes.left_behind(tmp_path, str(tmp_path)) == []
