"""The audit trail as text, and who was champion before, read off it."""

import json
import os
import time

import psutil
import pytest

from vaeforge.registry.audit import LONGEST, Entry, text_of, user
from vaeforge.registry.champion_history import champion_stack, open_intent, previous_champion
from vaeforge.registry.lock import HOST, PID, STARTED, TIME, TOKEN, is_lock, is_stale

Step = tuple[str, str | None, str]


def trail(*steps: Step) -> list[Entry]:
    """Changes that were done: action, champion before, champion after."""
    return [
        Entry(number, after, action, "done", "anna@lab", "", before, after)
        for number, (action, before, after) in enumerate(steps, 1)
    ]


def test_champions_follow_one_another() -> None:
    known = trail(("promote", None, "1"), ("promote", "1", "2"), ("promote", "2", "5"))
    assert champion_stack(known, "5") == ["1", "2", "5"]
    assert previous_champion(known, "5", {"1", "2", "5"}) == "2"
    assert previous_champion(known, "5", {"1", "5"}) == "1"  # 2 was archived
    assert previous_champion(known, "5", {"5"}) is None


def test_rolling_back_twice_goes_back_twice() -> None:
    known = trail(("promote", None, "1"), ("promote", "1", "2"), ("promote", "2", "3"), ("rollback", "3", "2"))
    assert previous_champion(known, "2", {"1", "2", "3"}) == "1"
    known = [*known, *trail(("rollback", "2", "1"))]
    assert previous_champion(known, "1", {"1", "2", "3"}) is None


def test_a_version_that_reigned_twice_is_gone_back_to_twice() -> None:
    known = trail(("promote", None, "1"), ("promote", "1", "2"), ("promote", "2", "1"), ("promote", "1", "3"))
    assert previous_champion(known, "3", {"1", "2", "3"}) == "1"
    known += trail(("rollback", "3", "1"))
    assert previous_champion(known, "1", {"1", "2", "3"}) == "2"
    known += trail(("rollback", "1", "2"))
    assert previous_champion(known, "2", {"1", "2", "3"}) == "1"


def test_a_champion_set_by_hand_counts() -> None:
    known = trail(("promote", None, "1"))
    assert previous_champion(known, "7", {"1", "7"}) == "1"
    known += trail(("promote", "7", "8"))
    assert previous_champion(known, "8", {"1", "7", "8"}) == "7"


def test_what_was_not_done_is_no_reign() -> None:
    (intended,) = trail(("promote", None, "1"))
    cut = Entry(1, "1", "promote", "intent", "", "", None, "1")
    assert champion_stack([cut], None) == []
    assert open_intent([cut]) == cut
    assert open_intent([cut, intended]) is None
    assert open_intent([]) is None


@pytest.mark.parametrize("why", ["short", "x" * 20_000, '"' * 9_000, "ß\n" * 9_000])
def test_entries_stay_short_and_remain_json(why: str) -> None:
    text = text_of(Entry(1, "1", "promote", "intent", "anna@lab", why, None, "1", "rule " * 5_000))
    assert len(text) <= LONGEST
    content = json.loads(text)
    assert content["who"] == "anna@lab"
    assert content["why"] == why or content["why"].endswith("…")


def test_who_acts_is_a_user_and_a_host() -> None:
    name, at, host = user().partition("@")
    assert name and at and host


def test_locks_of_processes_that_run_are_respected_and_others_are_stale() -> None:
    import socket

    now = time.time()
    mine = {
        TOKEN: "t",
        HOST: socket.gethostname(),
        PID: str(os.getpid()),
        STARTED: str(psutil.Process().create_time()),
        TIME: str(now),
    }
    assert not is_stale(mine)
    assert is_stale(mine, now + 61)
    assert is_stale(mine | {STARTED: "0"})  # another process had this number
    assert is_stale(mine | {PID: str(2**22 + 1)})
    assert not is_stale(mine | {PID: str(2**22 + 1), HOST: "elsewhere"})
    assert is_stale(mine | {HOST: "elsewhere"}, now + 61)
    assert is_stale({})
    assert is_stale(mine | {TIME: "soon"})
    assert is_lock("vaeforge-lipid--lock") and is_lock("vaeforge-lipid--lock-0123") and not is_lock("vaeforge-lipid")
