"""Which trials a group trains at once, without Ray and training: who ends a process fails, and nobody beside it."""

import random
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from vaeforge.ledger.events import SearchResumed, WorkerProcess
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import read_history
from vaeforge.search.dispatch.dispatcher import Dispatcher
from vaeforge.search.dispatch.types import DispatchConfig, Lease, TrialReport

LANES = 8
PROCESS = WorkerProcess(1, 0.0, "n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def dispatcher_at(path: Path) -> Dispatcher:
    found = Dispatcher(Ledger(path), read_history(path), DispatchConfig())
    found.recover(now=0.0)
    return found


@pytest.fixture
def dispatcher(path: Path) -> Iterator[Dispatcher]:
    found = dispatcher_at(path)
    yield found
    found.ledger.close()


def filled(dispatcher: Dispatcher, generation: int, held: list[Lease]) -> list[Lease]:
    """`held`, and leases beside them until all lanes are used or no trial fits."""
    while len(held) < LANES:
        known = [lease.trial for lease in held]
        lease = dispatcher.lease(0, generation, now=0.0, known=known)
        if lease is None:
            break
        held.append(lease)
    return held


def train(dispatcher: Dispatcher, killers: Collection[int], epochs: int = 2) -> int:
    """Train all trials in stacks, each epoch of which one of `killers` ends with the process; the most at once."""
    held, most = list[Lease](), 0
    generation = dispatcher.register(0, [PROCESS], now=0.0)
    while dispatcher.history.unfinished():
        held = filled(dispatcher, generation, held)
        most = max(most, len(held))
        if any(lease.trial in killers for lease in held):
            dispatcher.lose(0, "lost", "killed")
            held, generation = [], dispatcher.register(0, [PROCESS], now=0.0)
            continue
        for lease in list(held):
            epoch = dispatcher.history.trials[lease.trial].epoch + 1
            outcome = "completed" if epoch == epochs else "running"
            if dispatcher.report(lease, TrialReport(epoch, {"val/nelbo": 1.0}, 1.0, outcome, 1.0)) != "continue":
                held.remove(lease)
    return most


@pytest.mark.parametrize("seed", range(6))
def test_who_ends_the_process_fails_and_nobody_beside_it(dispatcher: Dispatcher, seed: int) -> None:
    dice = random.Random(seed)
    killers = dice.sample(range(40), seed + 1)
    for number in range(40):
        dispatcher.submit(number, {"optimizer.lr": 0.1 * number}, "g")
    assert train(dispatcher, killers) == LANES
    trials = dispatcher.history.trials.values()
    assert sorted(trial.number for trial in trials if trial.state == "failed") == sorted(killers)
    assert {trial.state for trial in trials if trial.number not in killers} == {"completed"}


def test_a_group_whose_memory_ran_out_has_half_as_many_lanes_and_no_trial_a_setback(
    dispatcher: Dispatcher, path: Path
) -> None:
    for number in range(8):
        dispatcher.submit(number, {"optimizer.lr": 0.1 * number}, "g")
    for lanes in (8, 4, 2):
        generation = dispatcher.register(0, [PROCESS], now=0.0)
        assert len(filled(dispatcher, generation, [])) == lanes
        dispatcher.lose(0, "oom", "killed by the kernel")
    assert {trial.setbacks for trial in dispatcher.history.trials.values()} == {0}
    crashes = [crash for trial in dispatcher.history.trials.values() for crash in trial.crashes]
    assert {crash.cause for crash in crashes} == {"lost"}
    assert {crash.most for crash in crashes if "at most 1 from now on" in crash.traceback} == {1}
    dispatcher.ledger.close()
    again = dispatcher_at(path)  # after a restart
    generation = again.register(0, [PROCESS], now=0.0)
    (lease,) = filled(again, generation, [])
    assert again.register(1, [PROCESS], now=0.0) == 1
    assert again.company.most(1) is None  # another group has shown no limit
    again.lose(0, "oom", "killed by the kernel")
    assert again.history.trials[lease.trial].setbacks == 1  # alone, it is its own fault
    again.record(SearchResumed())  # maybe on another machine
    assert again.company.most(0) is None
    again.ledger.close()
