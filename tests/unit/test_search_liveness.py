"""How long a worker group may go without a sign of life, and without a step; the heartbeat that gives both."""

import threading
import time

import pytest

from vaeforge.search.dispatch.heartbeat import Heartbeat
from vaeforge.search.dispatch.liveness import Liveness, Pulse

LIMIT = 60.0


@pytest.fixture
def alive() -> Liveness:
    return Liveness.since(0.0)


def problem(alive: Liveness, now: float, reported: bool = True, hangs: int = 0) -> str:
    return alive.problem(now, LIMIT, reported, hangs) or ""


def test_a_process_that_lives_but_does_not_get_on_is_given_up(alive: Liveness) -> None:
    for now in range(5, 65, 5):
        alive.beat(0, Pulse(1, 0.5), float(now))
        assert problem(alive, now) == ""
    alive.beat(0, Pulse(1, 0.5), 66.0)
    assert problem(alive, 66.0) == "it made no step for 61 s, of at most 60"
    assert problem(alive, 66.0, hangs=1) == ""
    alive.beat(0, Pulse(2, 0.5), 67.0)
    assert problem(alive, 67.0) == ""


def test_until_an_epoch_is_reported_nothing_is_known_of_how_long_steps_take(alive: Liveness) -> None:
    for now in range(5, 600, 5):
        alive.beat(0, Pulse(0, 0.0), float(now))
        assert problem(alive, now, reported=False) == ""
    alive.beat(0, Pulse(0, 0.0), 606.0)
    assert "no step for 601 s, of at most 600" in problem(alive, 606.0, reported=False)


def test_the_limit_follows_the_longest_pause_that_the_attempt_has_shown(alive: Liveness) -> None:
    for now in range(5, 205, 5):  # its validation takes 40 s a step
        alive.beat(0, Pulse(1 + now // 40, 40.0), float(now))
    for now in range(205, 400, 5):
        alive.beat(0, Pulse(6, 40.0), float(now))
        assert problem(alive, now) == ""
    alive.beat(0, Pulse(6, 40.0), 401.0)
    assert "of at most 200" in problem(alive, 401.0)
    alive.begin(402.0)  # what another trial showed says nothing of this one
    alive.beat(0, Pulse(1, 0.1), 407.0)
    alive.beat(0, Pulse(1, 0.1), 468.0)
    assert "of at most 60" in problem(alive, 468.0)


def test_one_silent_rank_is_enough_and_a_step_of_any_rank_is_progress(alive: Liveness) -> None:
    for now in range(5, 65, 5):
        alive.beat(0, Pulse(1, 0.1), float(now))
        alive.beat(1, Pulse(now, 0.1), float(now))
    for now in range(65, 120, 5):
        alive.beat(0, Pulse(now, 0.1), float(now))
        assert problem(alive, now) == ""
    alive.beat(0, Pulse(121, 0.1), 121.0)
    assert problem(alive, 121.0) == "one of its processes was silent for 61 s, of at most 60"
    alive.ask(121.0)
    assert problem(alive, 121.0) == ""


def test_a_heartbeat_tells_steps_and_their_longest_pause_and_ends() -> None:
    sent: list[Pulse] = []
    enough = threading.Event()

    def send(pulse: Pulse) -> None:
        sent.append(pulse)
        if pulse.steps == 2:
            enough.set()

    with Heartbeat(send, seconds=0.01) as heartbeat:
        heartbeat.step()
        heartbeat.wait()
        time.sleep(0.05)  # for others
        heartbeat.step()
        assert enough.wait(10)
        heartbeat.step()
        while sent[-1].steps < 3:
            time.sleep(0.002)
    assert {pulse.longest for pulse in sent if pulse.steps < 3} == {0.0}
    assert sent[-1].steps == 3 and sent[-1].longest > 0.0
    count = len(sent)
    time.sleep(0.05)
    assert len(sent) == count
