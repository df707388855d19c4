"""Who is champion when several want to be, when one dies half way, after a rollback; in a database and on a server."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from contenders import CONTEXT, contend, promote_soon, verdict
from postgres import NEEDS_POSTGRES, postgres
from project import command_line
from registered import server
from stores import new_database
from vaeforge.errors import RegistryError
from vaeforge.registry.audit import trail
from vaeforge.registry.lock import SUFFIX, lock
from vaeforge.registry.promote import ConflictError, archive, promote, rollback, unarchive
from vaeforge.registry.verdict import RuleOutcome, Verdict
from vaeforge.registry.versions import champion_of, models
from vaeforge.track.store import open_store

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

MODEL = "vaeforge-lipid"
Registry = Callable[[int], tuple[str, MlflowClient]]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def shared_database() -> Iterator[str]:
    with postgres() as running:
        yield running.database("mlflow")


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("address", marks=pytest.mark.long, id="http"),
        pytest.param("shared_database", marks=[pytest.mark.long, *NEEDS_POSTGRES], id="postgresql"),
    ]
)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    """A registry in which a model of so many versions is made, the first being champion."""
    uri = new_database(tmp_path) if request.param == "sqlite" else request.getfixturevalue(request.param)

    def make(versions: int) -> tuple[str, MlflowClient]:
        client = open_store(uri)
        if MODEL in models(client):
            client.delete_registered_model(MODEL)
        client.create_registered_model(MODEL)
        for _ in range(versions):
            client.create_model_version(MODEL, "s3://nowhere/none")
        promote(client, MODEL, "1", None, "anna@lab", "the first", verdict())
        return uri, client

    return make


def locks(client: MlflowClient) -> list[str]:
    return [one.name for one in client.search_registered_models() if one.name == MODEL + SUFFIX]


@contextmanager
def contenders(uri: str, count: int = 2) -> Iterator[list[Connection]]:
    """Processes that wait for orders."""
    pipes, processes = [], []
    for _ in range(count):
        mine, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=contend, args=(uri, MODEL, theirs), daemon=True)
        process.start()
        pipes.append(mine)
        processes.append(process)
    try:
        assert [pipe.recv() for pipe in pipes] == ["ready"] * count
        yield pipes
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join(30)
    finally:
        for process in processes:
            process.kill()


def compete(registry: Registry, rounds: int) -> None:
    """In each round two processes promote different versions against the same champion."""
    uri, client = registry(3)
    with contenders(uri) as pipes:
        for number in range(rounds):
            champion = champion_of(client, MODEL)
            wanted = [one for one in ("1", "2", "3") if one != champion]
            for pipe, version in zip(pipes, wanted, strict=True):
                pipe.send((version, champion))
            found = [pipe.recv() for pipe in pipes]
            assert found.count("won") == 1, (number, found)
            (lost,) = (answer for answer in found if answer != "won")
            assert lost.startswith(f"ConflictError: {MODEL}: champion is version")
            assert champion_of(client, MODEL) == wanted[found.index("won")]
    assert locks(client) == []
    done = [entry for entry in trail(client, MODEL) if entry.state == "done"]
    assert len(done) == rounds + 1
    assert [entry.before for entry in done[1:]] == [entry.after for entry in done[:-1]]


@pytest.mark.slow
def test_of_two_at_once_one_wins(registry: Registry) -> None:
    compete(registry, 5)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_of_two_at_once_one_wins_fifty_times(registry: Registry) -> None:
    compete(registry, 50)


def kill(registry: Registry, times: int) -> None:
    """Processes that promote are killed at random instants, and the registry goes on."""
    uri, client = registry(3)
    dice, outcomes, begun = random.Random(0), set(), time.monotonic()
    promote(client, MODEL, "2", "1", "anna@lab", "to see how long it takes", verdict())
    longest = 4 * (time.monotonic() - begun)  # a new process has to open its connections, too
    for number in range(times):
        old = champion_of(client, MODEL)
        new = next(one for one in ("2", "3") if one != old)
        assert old is not None
        mine, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=promote_soon, args=(uri, MODEL, new, old, theirs))
        process.start()
        assert mine.recv() == "begins"
        time.sleep(dice.uniform(0, longest))
        process.kill()
        process.join(30)
        found = champion_of(client, MODEL)
        assert found in (old, new), number
        outcomes.add(found == new)
        longest *= 0.6 if found == new else 1.5  # however fast the machine, deaths come before and after the change
        with lock(client, MODEL, patience=20):  # what the dead process held is taken over
            pass
    assert outcomes == {True, False} or times < 20
    assert locks(client) == []
    back = rollback(client, MODEL, "anna@lab", "after the deaths")
    assert champion_of(client, MODEL) == back
    assert [entry.state for entry in trail(client, MODEL)][-2:] == ["intent", "done"]


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_the_old_or_the_new_champion(registry: Registry) -> None:
    kill(registry, 5)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_processes_that_are_killed_leave_the_old_or_the_new_champion(registry: Registry) -> None:
    kill(registry, 20)


def test_a_promotion_against_another_champion_is_refused(registry: Registry) -> None:
    _, client = registry(3)
    promote(client, MODEL, "2", "1", "anna@lab", "better", verdict())
    with pytest.raises(ConflictError, match="champion is version 2, but this was decided against version 1"):
        promote(client, MODEL, "3", "1", "ben@lab", "better", verdict())
    with pytest.raises(ConflictError, match="decided against no version"):
        promote(client, MODEL, "3", None, "ben@lab", "better", verdict())
    assert champion_of(client, MODEL) == "2"
    assert locks(client) == []


def test_a_verdict_against_it_is_the_end_of_it(registry: Registry) -> None:
    _, client = registry(2)
    against = Verdict(
        (RuleOutcome("likelihood", "worse", "no worse", False), RuleOutcome("data", "other", "the same", False))
    )
    with pytest.raises(RegistryError, match="likelihood: worse, must be no worse; data: other, must be the same"):
        promote(client, MODEL, "2", "1", "anna@lab", "please", against)
    assert champion_of(client, MODEL) == "1"


def test_rolling_back_walks_back_and_skips_what_is_archived(registry: Registry) -> None:
    _, client = registry(4)
    for old, new in (("1", "2"), ("2", "3"), ("3", "4")):
        promote(client, MODEL, new, old, "anna@lab", "better", verdict())
    archive(client, MODEL, "3", "anna@lab", "wrong data")
    assert rollback(client, MODEL, "anna@lab", "too slow") == "2"
    assert champion_of(client, MODEL) == "2"
    assert rollback(client, MODEL, "anna@lab", "too slow, too") == "1"
    with pytest.raises(RegistryError, match="has no champion before version 1"):
        rollback(client, MODEL, "anna@lab", "further")
    assert champion_of(client, MODEL) == "1"
    last = trail(client, MODEL)[-1]
    assert (last.action, last.before, last.after, last.who, last.why) == (
        "rollback",
        "2",
        "1",
        "anna@lab",
        "too slow, too",
    )


def test_the_champion_is_not_archived_and_archived_versions_are_not_promoted(registry: Registry) -> None:
    _, client = registry(2)
    with pytest.raises(RegistryError, match="is champion; promote another"):
        archive(client, MODEL, "1", "anna@lab", "old")
    archive(client, MODEL, "2", "anna@lab", "old")
    with pytest.raises(RegistryError, match="archived; nothing to do"):
        archive(client, MODEL, "2", "anna@lab", "old")
    with pytest.raises(RegistryError, match="`vaeforge models unarchive vaeforge-lipid 2` comes first"):
        promote(client, MODEL, "2", "1", "anna@lab", "better", verdict())
    unarchive(client, MODEL, "2", "anna@lab", "needed again")
    with pytest.raises(RegistryError, match="is not archived"):
        unarchive(client, MODEL, "2", "anna@lab", "twice")
    promote(client, MODEL, "2", "1", "anna@lab", "better", verdict())
    assert champion_of(client, MODEL) == "2"
    with pytest.raises(RegistryError, match=r"got version '9', must be one of 1, 2"):
        promote(client, MODEL, "9", "2", "anna@lab", "better", verdict())


def test_a_change_that_was_cut_off_gets_its_end(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = registry(3)
    real = MlflowClient.set_registered_model_alias

    def cut(*given: Any) -> None:
        real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(MlflowClient, "set_registered_model_alias", cut)
        promote(client, MODEL, "2", "1", "anna@lab", "better", verdict())
    assert trail(client, MODEL)[-1].state == "intent"
    assert rollback(client, MODEL, "ben@lab", "unclear") == "1"
    states = [(entry.action, entry.state, entry.who) for entry in trail(client, MODEL)[-3:]]
    assert states == [
        ("promote", "done", "anna@lab"),
        ("rollback", "intent", "ben@lab"),
        ("rollback", "done", "ben@lab"),
    ]


def test_a_lock_that_is_held_is_waited_for_and_named(registry: Registry) -> None:
    _, client = registry(2)
    with (
        lock(client, MODEL) as held,
        pytest.raises(RegistryError, match=f"held by process {os.getpid()} on .* waiting 0 s did not help"),
        lock(client, MODEL, patience=0.2),
    ):
        pass
    assert locks(client) == []
    with pytest.raises(RegistryError, match="held too long and lost"):
        held.require()


def command(folder: Path, uri: str, *arguments: str, code: int = 0) -> str:
    """What `vaeforge models` prints."""
    done = command_line(folder, *arguments, MLFLOW_TRACKING_URI=uri)
    assert done.code == code, done.stdout + done.stderr
    return done.stdout + (done.stderr if code else "")


@pytest.mark.slow
def test_the_command_line_lists_rolls_back_and_archives(registry: Registry, tmp_path: Path) -> None:
    uri, client = registry(2)
    promote(client, MODEL, "2", "1", "anna@lab", "better", verdict())
    (row,) = (json.loads(line) for line in command(tmp_path, uri, "models", "list", "--json", "true").splitlines())
    assert row == {
        "model": MODEL,
        "versions": 2,
        "champion": "2",
        "challenger": None,
        "data_set": None,
        "remark": None,
    }
    assert json.loads(command(tmp_path, uri, "rollback", "--model", "lipid", "--json", "true"))["champion"] == "1"
    assert "archived" in command(tmp_path, uri, "models", "archive", "lipid", "2", "--why", "slow")
    listed = [
        json.loads(one) for one in command(tmp_path, uri, "models", "list", "lipid", "--json", "true").splitlines()
    ]
    assert [(one["version"], one["aliases"], one["archived"]) for one in listed] == [
        ("1", ["champion"], False),
        ("2", [], True),
    ]
    shown = json.loads(command(tmp_path, uri, "models", "show", "lipid", "2", "--json", "true"))
    assert [(one["action"], one["why"]) for one in shown["audit"]][-1] == ("archive", "slow")
    assert "must be one of: vaeforge-lipid" in command(tmp_path, uri, "models", "list", "lipids", code=2)
