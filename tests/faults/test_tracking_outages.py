"""A real MLflow server that fails in every way that servers and gateways do, and is told a ledger once all the same."""

import json
from pathlib import Path

import pytest

from project import ROOT
from vaeforge.chaos.proxy import Mode
from vaeforge.chaos.tracking_server import TrackingServer
from vaeforge.errors import TrackingError
from vaeforge.track.agreement import disagreements
from vaeforge.track.replay import Replay, sync

pytestmark = [
    pytest.mark.slow,
    # MLflow's own use of SQLAlchemy, said once while it is imported
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]
TRIES = 8


@pytest.fixture
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A ledger with crashes, a resumed session and repeats; its search has another name in each test."""
    path = tmp_path / "artifacts/searches/s/ledger.jsonl"
    path.parent.mkdir(parents=True)
    first, *others = (ROOT / "tests/ledgers/faults.jsonl").read_text().splitlines(keepends=True)
    header = json.dumps({**json.loads(first), "name": request.node.name}) + "\n"
    path.write_text("".join([header, *others]))
    return path


def step(replay: Replay) -> bool:
    """Whether a replay went through."""
    try:
        replay.step()
    except Exception:  # whatever it is, the tracking process tries again
        return False
    return True


@pytest.mark.parametrize("mode", ["401", "503", "reset"])
def test_what_a_server_refuses_is_told_later_and_once(
    tracking_server: TrackingServer, ledger: Path, mode: Mode
) -> None:
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:40]))
    replay, root = Replay(ledger, tracking_server.proxy.uri, ledger.parents[3]), ledger.parents[3]
    assert step(replay)
    refused, tracking_server.proxy.mode = tracking_server.proxy.refused, mode
    try:
        ledger.write_text("".join(lines))
        assert not step(replay) and not step(replay)
        assert not step(Replay(ledger, tracking_server.proxy.uri, root))  # nor does a later process get through
        assert tracking_server.proxy.refused > refused
        with pytest.raises(TrackingError, match=r"ledger is intact|did not answer"):
            sync(ledger.parent, tracking_server.proxy.uri)
    finally:
        tracking_server.proxy.mode = "pass"
    assert step(replay) and replay.complete
    assert disagreements(ledger.parent, tracking_server.proxy.uri) == []
    sync(ledger.parent, tracking_server.proxy.uri)
    assert disagreements(ledger.parent, tracking_server.proxy.uri) == []


def test_what_a_gateway_says_has_failed_and_was_done_is_not_done_twice(
    tracking_server: TrackingServer, ledger: Path
) -> None:
    tracking_server.proxy.mode = "504"
    try:
        for _ in range(TRIES):  # each one gets as far as the next change
            assert not step(Replay(ledger, tracking_server.proxy.uri, ledger.parents[3]))
    finally:
        tracking_server.proxy.mode = "pass"
    assert tracking_server.proxy.refused >= TRIES
    sync(ledger.parent, tracking_server.proxy.uri)
    assert disagreements(ledger.parent, tracking_server.proxy.uri) == []


@pytest.mark.long
def test_a_server_that_is_killed_in_between_and_comes_back(tracking_server: TrackingServer, ledger: Path) -> None:
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:30]))
    replay = Replay(ledger, tracking_server.proxy.uri, ledger.parents[3])
    assert step(replay)
    tracking_server.kill()
    ledger.write_text("".join(lines))
    assert not step(replay)
    tracking_server.start()
    assert step(replay) and replay.complete
    assert disagreements(ledger.parent, tracking_server.proxy.uri) == []
