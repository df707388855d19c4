"""Ledgers replayed into real MLflow stores: complete, once, whatever is killed in between."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient, MlflowException
from mlflow.entities import Run

from contenders import CONTEXT, open_and_write
from stores import new_database
from vaeforge.chaos.tracking_server import SETTINGS
from vaeforge.errors import DataError, TrackingError
from vaeforge.track.replay import Replay, exclusive, run_ids, sync
from vaeforge.track.store import ensure_experiment, open_store
from vaeforge.track.tracking_process import follow, start

# MLflow's own use of SQLAlchemy, said once while it is imported
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

SEARCH = {
    "event": "search",
    "time": 1000.0,
    "name": "mucosa wörk",
    "family": "endoscopy",
    "experiment_name": "vaeforge-endoscopy",
    "space": {"objective": {"metric": "val/nelbo", "mode": "min"}, "space": {"model.latent_dim": {"int": [4, 256]}}},
    "settings": {"experiment": {"model": {"latent_dim": 32}, "family": "endoscopy"}, "search": {"trials": 3}},
    "data_identity": "ab" * 32,
    "data_hash": "0123456789abcdef0123456789abcdef.dir",
    "data_source": "data/endoscopy",
    "git": {"commit": "c0ffee", "dirty": True},
    "seed": 0,
    "trials": 3,
    "configuration_hash": "c" * 64,
    "code_hash": "d" * 64,
    "command": "vaeforge tune --family endoscopy",
    "project_run_id": None,
}


def event(kind: str, at: float, **values: Any) -> dict[str, Any]:
    return {"event": kind, "time": at, **values}


def submitted(trial: int, at: float) -> list[dict[str, Any]]:
    params = {"model.latent_dim": 8 * (trial + 1), "beta.schedule": "constant", "optimizer.lr": 0.001}
    lease = event("leased", at + 0.5, trial=trial, attempt=1, host=0, generation=0)
    return [event("submitted", at, trial=trial, params=params, group="constant"), lease]


def reported(trial: int, epoch: int, at: float, nelbo: float | None) -> dict[str, Any]:
    metrics = {"val/nelbo": nelbo, "train/loss": nelbo, "beta": 1.0}
    outcome = "nan" if nelbo is None else "running"
    return event("reported", at, trial=trial, attempt=1, epoch=epoch, metrics=metrics, outcome=outcome, seconds=1.0)


def finished(trial: int, at: float, state: str, cause: str | None, value: float | None, epoch: int) -> dict[str, Any]:
    return event("finished", at, trial=trial, state=state, cause=cause, value=value, epoch=epoch, seconds=9.5)


FIRST_SESSION = [
    SEARCH,
    *(line for trial in range(3) for line in submitted(trial, 1001.0 + trial)),
    *(reported(0, epoch, 1010.0 + epoch, 50.0 - epoch) for epoch in (1, 2)),
    reported(1, 1, 1012.0, 80.0),
    event("interrupted", 1015.0, signal="SIGINT"),
]
SECOND_SESSION = [
    event("resumed", 2000.0, project_run_id=None),
    event("leased", 2001.0, trial=0, attempt=2, host=0, generation=0),
    reported(0, 2, 2002.0, 48.0),  # trained again: the checkpoint was of epoch 1
    reported(0, 3, 2003.0, 47.0),
    finished(0, 2004.0, "completed", None, 47.0, 3),
    event("decided", 2005.0, trial=1, epoch=1, action="stop", value=80.0, cutoff=60.0),
    finished(1, 2005.0, "stopped", "rung 1: 80.0 needed <= 60.0", 80.0, 1),
    reported(2, 1, 2006.0, None),
    finished(2, 2007.0, "failed", "nan", None, 1),
    event("ended", 2010.0, reason="all trials done", seconds=30.0, trials=3, best=0, value=47.0),
]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts" / "searches" / "mucosa"
    folder.mkdir(parents=True)
    return folder / "ledger.jsonl"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A new database."""
    return new_database(tmp_path)


def append(ledger: Path, events: list[dict[str, Any]]) -> None:
    with ledger.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in events)


def replayed(ledger: Path, uri: str) -> Replay:
    replay = Replay(ledger, uri, ledger.parents[3])
    replay.step()
    return replay


def all_runs(client: MlflowClient) -> list[Run]:
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def content(uri: str) -> list[Any]:
    """Everything that a store holds, in an order that does not depend on it."""
    client = open_store(uri)
    runs = []
    for run in all_runs(client):
        history = [
            (m.key, "nan" if math.isnan(m.value) else m.value, m.timestamp, m.step)
            for key in run.data.metrics
            for m in client.get_metric_history(run.info.run_id, key)
        ]
        data = [(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs]
        info = run.info
        about = (info.run_name, info.run_id, info.status, info.start_time, info.end_time)
        runs.append([about, sorted(run.data.params.items()), sorted(run.data.tags.items()), sorted(history), data])
    return sorted(runs)


def by_trial(client: MlflowClient, ledger: Path) -> dict[int, Run]:
    return {number: client.get_run(run) for number, run in run_ids(ledger.parent).trials.items()}


def test_a_search_with_its_trials_as_mlflow_shows_it(ledger: Path, uri: str, tmp_path: Path) -> None:
    append(ledger, FIRST_SESSION + SECOND_SESSION)
    assert replayed(ledger, uri).complete
    client = open_store(uri)
    assert len(all_runs(client)) == 4

    parent = client.get_run(run_ids(ledger.parent).parent)
    experiment = client.get_experiment(parent.info.experiment_id)
    assert experiment.name == "vaeforge-endoscopy"
    assert experiment.artifact_location == (tmp_path / "mlruns" / "vaeforge-endoscopy").as_uri()
    assert (parent.info.run_name, parent.info.status) == ("mucosa wörk", "FINISHED")
    assert (parent.info.start_time, parent.info.end_time) == (1_000_000, 2_010_000)
    assert parent.data.params["experiment.model.latent_dim"] == "32"
    assert (parent.data.metrics["best/value"], parent.data.metrics["trials/total"]) == (47.0, 3.0)
    assert parent.data.tags["vaeforge.best_run"] == run_ids(ledger.parent).trials[0]
    assert parent.data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert json.loads(parent.data.tags["vaeforge.space"]) == SEARCH["space"]

    trials = by_trial(client, ledger)
    assert [trials[n].info.status for n in range(3)] == ["FINISHED", "FINISHED", "FAILED"]
    assert [trials[n].data.tags["vaeforge.state"] for n in range(3)] == ["completed", "stopped", "failed"]
    assert [trials[n].info.run_name for n in range(3)] == ["trial-0000", "trial-0001", "trial-0002"]
    assert trials[0].data.params["model.latent_dim"] == "8"
    assert trials[0].data.tags["vaeforge.attempts"] == "2"
    assert (trials[1].data.tags["vaeforge.cause"], trials[2].data.tags["vaeforge.cause"]) == (
        "rung 1: 80.0 needed <= 60.0",
        "nan",
    )
    for run in (parent, *trials.values()):
        (data,) = run.inputs.dataset_inputs
        assert (data.dataset.name, data.dataset.digest) == ("data/endoscopy", SEARCH["data_hash"])
    for run in trials.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.experiment_id == parent.info.experiment_id


def test_curves_have_a_row_for_each_report_and_nan_where_training_broke(ledger: Path, uri: str) -> None:
    append(ledger, FIRST_SESSION + SECOND_SESSION)
    replayed(ledger, uri)
    client, ids = open_store(uri), run_ids(ledger.parent).trials
    curve = [(m.step, m.value, m.timestamp) for m in client.get_metric_history(ids[0], "val/nelbo")]
    assert curve == [(1, 49.0, 1_011_000), (2, 48.0, 1_012_000), (2, 48.0, 2_002_000), (3, 47.0, 2_003_000)]
    (broken,) = client.get_metric_history(ids[2], "val/nelbo")
    assert math.isnan(broken.value)
    assert client.get_metric_history(ids[2], "train/loss") == []
    assert client.get_run(ids[0]).data.metrics["value"] == 47.0


def test_replaying_again_from_the_cursor_or_without_it_changes_nothing(ledger: Path, uri: str) -> None:
    append(ledger, FIRST_SESSION + SECOND_SESSION)
    replayed(ledger, uri)
    before = content(uri)
    replayed(ledger, uri)
    assert content(uri) == before
    (ledger.parent / "tracking.json").unlink()
    replayed(ledger, uri)
    assert content(uri) == before
    assert sync(ledger.parent, uri) == {"completed": 1, "stopped": 1, "failed": 1}
    assert content(uri) == before


def test_byte_by_byte_gives_what_all_at_once_gives(ledger: Path, uri: str, tmp_path: Path) -> None:
    text = "".join(json.dumps(line) + "\n" for line in FIRST_SESSION + SECOND_SESSION).encode()
    replay = Replay(ledger, uri, tmp_path)
    for end in range(0, len(text), 997):
        ledger.write_bytes(text[:end])
        replay.step()
    ledger.write_bytes(text)
    replay.step()
    piecewise = content(uri)

    other = new_database(tmp_path, "other.db")
    sync(ledger.parent, other)

    def without_ids(runs: list[Any]) -> list[Any]:
        hidden = {run[0][1]: run[0][0] for run in runs}
        return [
            [(name, *times), params, [(k, hidden.get(v, v)) for k, v in tags], history, data]
            for (name, _, *times), params, tags, history, data in runs
        ]

    assert without_ids(piecewise) == without_ids(content(other))


def test_an_interruption_kills_and_a_resume_revives(ledger: Path, uri: str) -> None:
    append(ledger, FIRST_SESSION)
    assert replayed(ledger, uri).complete
    client = open_store(uri)
    assert {run.info.status for run in all_runs(client)} == {"KILLED"}
    first = run_ids(ledger.parent)

    append(ledger, SECOND_SESSION[:4])
    assert not replayed(ledger, uri).complete
    assert {run.info.status for run in all_runs(client)} == {"RUNNING"}
    assert by_trial(client, ledger)[0].data.tags["vaeforge.state"] == "running"

    append(ledger, SECOND_SESSION[4:])
    replayed(ledger, uri)
    assert sorted(run.info.status for run in all_runs(client)) == ["FAILED", "FINISHED", "FINISHED", "FINISHED"]
    assert run_ids(ledger.parent) == first


def test_a_second_interruption_ends_later_than_the_first(ledger: Path, uri: str) -> None:
    append(ledger, FIRST_SESSION)
    replayed(ledger, uri)
    append(ledger, [*SECOND_SESSION[:4], event("interrupted", 2050.0, signal="SIGTERM")])
    replayed(ledger, uri)
    assert {(run.info.status, run.info.end_time) for run in all_runs(open_store(uri))} == {("KILLED", 2_050_000)}


class Flaky:
    """A client that raises before or after its `fatal`-th writing call reached the store."""

    WRITES = ("create_run", "log_batch", "log_inputs", "set_terminated", "update_run", "set_tag")

    def __init__(self, client: MlflowClient, fatal: int, arrives: bool):
        self._client, self._left, self._arrives = client, fatal, arrives

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        return (lambda *args, **kwargs: self._call(real, args, kwargs)) if name in self.WRITES else real

    def _call(self, real: Any, args: Any, kwargs: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._arrives:
            raise MlflowException("the connection broke")
        result = real(*args, **kwargs)
        if self._left == 0:
            raise MlflowException("the connection broke after the server had done its work")
        return result


def test_a_store_that_is_up_to_date_is_not_written_to(ledger: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    append(ledger, FIRST_SESSION + SECOND_SESSION)
    replayed(ledger, uri)
    read_only = Flaky(open_store(uri), 1, arrives=False)
    monkeypatch.setattr("vaeforge.track.replay.open_store", lambda _: read_only)
    assert replayed(ledger, uri).complete
    with pytest.raises(MlflowException, match="the connection broke"):
        Replay(ledger, uri, ledger.parents[3], from_start=True).step()


@pytest.mark.parametrize(
    ("arrives", "same_process"),
    [
        (True, False),
        pytest.param(False, True, marks=pytest.mark.long),
        *(pytest.param(one, one, marks=pytest.mark.long) for one in (False, True)),
    ],
)
def test_a_crash_at_any_write_duplicates_nothing(
    ledger: Path, tmp_path: Path, arrives: bool, same_process: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(ledger, FIRST_SESSION + SECOND_SESSION)
    fatal = 0
    while True:
        fatal += 1
        assert fatal < 40
        uri, crashes = new_database(tmp_path, f"{fatal}.db"), 0
        replay = Replay(ledger, uri, tmp_path)
        with monkeypatch.context() as patch:
            flaky = Flaky(open_store(uri), fatal, arrives)
            patch.setattr("vaeforge.track.replay.open_store", lambda _, flaky=flaky: flaky)
            try:
                replay.step()
            except MlflowException:
                crashes = 1
        (replay if same_process else Replay(ledger, uri, tmp_path)).step()
        runs = content(uri)
        assert len(runs) == 4
        assert {len(run[4]) for run in runs} == {1}
        rows = {run[0][0]: len(run[3]) for run in runs}
        assert (
            rows["trial-0000"] == 4 * 4 + 3
        )  # of four reports, one of an epoch that was trained again; and of its end
        if not crashes:
            break
    assert fatal > 12


def project(client: MlflowClient) -> str:
    run = client.create_run("0", tags={"mlflow.runName": "bold-owl-7", "mlflow.project.entryPoint": "tune"})
    client.log_param(run.info.run_id, "experiment.family", "'endoscopy'")
    return str(run.info.run_id)


def test_a_project_run_is_the_parent_and_is_ended_by_mlflow_alone(ledger: Path, uri: str) -> None:
    client = open_store(uri)
    own = project(client)
    append(ledger, [SEARCH | {"project_run_id": own}, *FIRST_SESSION[1:]])
    replayed(ledger, uri)
    parent = client.get_run(own)
    assert run_ids(ledger.parent).parent == own
    assert (parent.info.run_name, parent.info.status) == ("bold-owl-7", "RUNNING")
    assert parent.data.params["experiment.family"] == "'endoscopy'"
    trials = by_trial(client, ledger)
    assert {run.info.experiment_id for run in trials.values()} == {"0"}
    assert {run.info.status for run in trials.values()} == {"KILLED"}
    assert len(all_runs(client)) == 4

    client.set_terminated(own, "FAILED")  # as `mlflow run` does after Ctrl-C
    again = project(client)
    append(ledger, [event("resumed", 2000.0, project_run_id=again), *SECOND_SESSION[1:]])
    replayed(ledger, uri)
    assert run_ids(ledger.parent).parent == own
    assert client.get_run(again).data.tags["vaeforge.resumes"] == own
    assert client.get_run(again).info.status == "RUNNING"
    assert client.get_run(own).data.tags["vaeforge.resumed_by"] == again
    assert client.get_run(own).info.status == "FINISHED"


def test_a_project_run_that_nobody_is_left_to_end_is_killed_by_sync(ledger: Path, uri: str) -> None:
    client = open_store(uri)
    own = project(client)
    append(ledger, [SEARCH | {"project_run_id": own}, *FIRST_SESSION[1:-1]])
    sync(ledger.parent, uri, alive=True)
    assert client.get_run(own).info.status == "RUNNING"
    assert sync(ledger.parent, uri) == {"interrupted": 3}
    assert {run.info.status for run in all_runs(client)} == {"KILLED"}


def test_another_store_gets_everything_even_where_it_lacks_the_project_run(ledger: Path, tmp_path: Path) -> None:
    here, there = (new_database(tmp_path, f"{name}.db") for name in ("here", "there"))
    own = project(open_store(here))
    append(ledger, [SEARCH | {"project_run_id": own}, *FIRST_SESSION[1:], *SECOND_SESSION])
    replayed(ledger, here)
    sync(ledger.parent, there)
    parent = open_store(there).get_run(run_ids(ledger.parent).parent)
    assert (parent.info.status, parent.data.tags["vaeforge.project_run"]) == ("FINISHED", own)
    assert len(content(there)) == 4


def test_a_search_of_the_same_name_gets_runs_of_its_own(ledger: Path, uri: str, tmp_path: Path) -> None:
    append(ledger, FIRST_SESSION)
    replayed(ledger, uri)
    first = run_ids(ledger.parent).parent
    ledger.unlink()
    append(ledger, [SEARCH | {"time": 5000.0}, *SECOND_SESSION])
    replayed(ledger, uri)
    ids, client = run_ids(ledger.parent), open_store(uri)
    assert ids.parent != first
    assert client.get_run(first).info.status == "KILLED"
    assert [m.step for m in client.get_metric_history(ids.trials[0], "val/nelbo")] == [2, 3]
    assert client.get_run(ids.parent).data.metrics["best/value"] == 47.0


def test_fifty_trials_of_ten_epochs_arrive_whole(ledger: Path, uri: str) -> None:
    lines = [SEARCH]
    for trial in range(50):
        lines += submitted(trial, 1001.0)
        lines += [reported(trial, epoch, 1010.0 + epoch, 50.0 - epoch) for epoch in range(1, 11)]
        lines.append(finished(trial, 1030.0, "completed", None, 40.0, 10))
    append(ledger, lines)
    replayed(ledger, uri)
    client = open_store(uri)
    trials = run_ids(ledger.parent).trials
    assert sorted(trials) == list(range(50))
    assert [len(client.get_metric_history(trials[n], "val/nelbo")) for n in (0, 49)] == [10, 10]


def test_eight_processes_open_a_fresh_database_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    gate, failures = CONTEXT.Barrier(8), CONTEXT.Queue()
    processes = [
        CONTEXT.Process(target=open_and_write, args=(uri, tmp_path / "mlruns", gate, failures)) for _ in range(8)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    client = open_store(uri)
    assert len([e for e in client.search_experiments() if e.name == "together"]) == 1
    assert len(all_runs(client)) == 8


def test_a_half_made_database_is_made_again(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / ".mlflow.db.draft").write_bytes(b"half a database")
    assert [e.name for e in open_store(uri).search_experiments()] == ["Default"]
    assert not (tmp_path / ".mlflow.db.draft").exists()


def test_an_experiment_that_was_deleted_is_named_with_its_remedy(uri: str, tmp_path: Path) -> None:
    client = open_store(uri)
    client.delete_experiment(ensure_experiment(client, "gone", tmp_path))
    with pytest.raises(TrackingError, match=r"'gone' is deleted .* `mlflow experiments restore -x 1`"):
        ensure_experiment(client, "gone", tmp_path)


def test_what_sync_and_run_ids_refuse(ledger: Path, uri: str) -> None:
    with pytest.raises(TrackingError, match=r"ledger\.jsonl: not found"):
        sync(ledger.parent, uri)
    with pytest.raises(DataError, match="has not been tracked yet"):
        run_ids(ledger.parent)
    append(ledger, FIRST_SESSION)
    with (
        exclusive(ledger.parent),
        pytest.raises(TrackingError, match="held by another process"),
        exclusive(ledger.parent, patience=0.2),
    ):
        raise AssertionError("two replays of one search")


def follower(ledger: Path, uri: str, parent: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vaeforge.track.tracking_process", "--ledger", str(ledger), "--uri", uri]
    command += ["--root", str(ledger.parents[3]), "--parent", str(parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=environment, start_new_session=True)


def wait_until(condition: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_the_follower_ignores_signals_and_leaves_with_the_search(ledger: Path, uri: str) -> None:
    append(ledger, FIRST_SESSION[:-1])
    process = start(ledger, uri, ledger.parents[3])
    wait_until((ledger.parent / "tracking.json").exists)
    for name in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(name)
    now = time.time()
    append(ledger, [line | {"time": now} for line in SECOND_SESSION])
    assert process.wait(120) == 0
    assert open_store(uri).get_run(run_ids(ledger.parent).parent).info.status == "FINISHED"
    assert read(ledger.parent / "tracking.log") == ""


def test_the_follower_kills_what_a_vanished_search_left_running(ledger: Path, uri: str) -> None:
    append(ledger, FIRST_SESSION[:-1])
    search = subprocess.Popen(["sleep", "60"])
    process = follower(ledger, uri, search.pid)
    wait_until((ledger.parent / "tracking.json").exists)
    search.kill()
    search.wait()
    assert process.wait(120) == 0
    assert {run.info.status for run in all_runs(open_store(uri))} == {"KILLED"}


@contextmanager
def server(port: int, database: str) -> Iterator[None]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, env={**os.environ, **SETTINGS}, **quiet)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.long
def test_a_server_that_starts_late_and_dies_in_between_gets_everything_once(
    ledger: Path, uri: str, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    open_store(uri)
    address = f"http://127.0.0.1:{port}"
    append(ledger, FIRST_SESSION[:-1])
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(follow(ledger, address, tmp_path, os.getpid())))
    thread.start()
    wait_until(lambda: "did not answer" in read(ledger.parent / "tracking.log"))
    with server(port, uri):
        wait_until((ledger.parent / "tracking.json").exists, 90)
    now = time.time()
    append(ledger, [line | {"time": now} for line in SECOND_SESSION])
    wait_until(lambda: read(ledger.parent / "tracking.log").count("trying again") >= 2)
    with server(port, uri):
        thread.join(90)
    assert codes == [0]
    assert len(content(uri)) == 4
    assert read(ledger.parent / "tracking.log").count("up to date again") == 2
    rows = {run[0][0]: len(run[3]) for run in content(uri)}
    # of four reports, one of them of an epoch that was trained again, and of its end
    assert rows["trial-0000"] == 4 * 4 + 3


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
