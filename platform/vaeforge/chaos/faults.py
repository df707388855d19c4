"""Faults that chaos injects: what is done to which process, file or server, for how long, and what may follow from it.

Each is real: a signal, a limit or a flag of the kernel, changed bytes, an answer of a server. A fault finds its victim
when it is injected and undoes itself at the end of its block.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol

import psutil
from filelock import lock_descriptor

from vaeforge.chaos.damage import add_half_line, cut, flip_bit, no_growth_beyond, read_only
from vaeforge.chaos.observed import LeasedTrial, ObservedLedger
from vaeforge.chaos.processes import of_kind
from vaeforge.chaos.proxy import Mode
from vaeforge.chaos.tracking_server import TrackingServer

SETTLE_SECONDS = 1.0  # for messages that are under way when their sender is stopped


class NoVictimError(Exception):
    """What the fault is about is not there now."""


class Target(Protocol):
    """The search that faults are injected into."""

    ledger: ObservedLedger
    server: TrackingServer

    @property
    def driver(self) -> psutil.Process: ...


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: as `--faults` takes it.
        what: in words.
        inject: does it to a target for the length of a block, whose value says to what exactly.
        weight: how often it comes, beside the others.
        seconds: the shortest and longest time that it lasts.
        ends: whether it may end the session, which then is resumed.
        ray: whether Ray itself may end it, with a code and words of its own: a driver without its node is gone.
        causes: failures of trials that it explains.
        repeated: reported epochs that it may have trained again.
    """

    name: str
    what: str
    inject: Callable[[Target, Random], AbstractContextManager[str]]
    weight: int = 1
    seconds: tuple[float, float] = (0.0, 0.0)
    ends: bool = False
    ray: bool = False
    causes: frozenset[str] = frozenset()
    repeated: int = 0


def _training(target: Target, crashes: int = 1) -> list[LeasedTrial]:
    """Trials in training that may crash once more, with all that their worker groups train beside them.

    The third crash ends a trial, whoever did it, and what ends a process is a crash of all its lanes.
    """
    target.ledger.look()
    leased = target.ledger.leased()
    spent = {one.pids for one in leased if len(one.trial.crashes) > crashes}
    return [one for one in leased if one.pids not in spent and all(map(psutil.pid_exists, one.pids))]


def _victim(target: Target, random: Random, kind: str) -> psutil.Process:
    if kind == "driver":
        return target.driver
    if kind == "worker":
        found = [psutil.Process(pid) for one in _training(target) for pid in one.pids]
    else:
        found = of_kind(target.driver, kind)
    if not found:
        raise NoVictimError(f"no {kind}")
    return random.choice(found)


@contextmanager
def _kill(kind: str, sent: signal.Signals, target: Target, random: Random) -> Iterator[str]:
    victim = _victim(target, random, kind)
    victim.send_signal(sent)
    yield f"{sent.name} to {kind} {victim.pid}"


@contextmanager
def _pause(kind: str, target: Target, random: Random) -> Iterator[str]:
    victim = _victim(target, random, kind)
    victim.suspend()
    try:
        yield f"SIGSTOP to {kind} {victim.pid}"
    finally:
        with suppress(psutil.NoSuchProcess):
            victim.resume()


@contextmanager
def _hang(target: Target, random: Random) -> Iterator[str]:
    """A worker that is never continued: the search must notice it by its silence."""
    found = _training(target, crashes=0)
    if not found:
        raise NoVictimError("no worker in training")
    chosen = random.choice(found)
    os.kill(chosen.pids[0], signal.SIGSTOP)
    yield f"SIGSTOP to worker {chosen.pids[0]} of trial {chosen.trial.number}, for ever"


@contextmanager
def _torn_line(target: Target, random: Random) -> Iterator[str]:
    """As when a machine goes down while a line is written."""
    if not target.ledger.path.exists():
        raise NoVictimError("no ledger")
    target.driver.kill()
    with target.ledger.path.open("rb") as file:
        # the dispatcher outlives its driver for seconds, and what it still writes would end the torn line
        lock_descriptor(file.fileno(), blocking=True)
        target.ledger.look()
        add_half_line(target.ledger.path)
    yield "SIGKILL to the driver, and half a line at the ledger's end"


@contextmanager
def _damaged_checkpoint(damage: str, target: Target, random: Random) -> Iterator[str]:
    found = [one for one in _training(target) if len(one.trial.checkpoints()) > 1 and len(one.pids) == 1]
    if not found:
        raise NoVictimError("no trial in training with two checkpoints")
    chosen = random.choice(found)
    worker = psutil.Process(chosen.pids[0])
    worker.suspend()
    time.sleep(SETTLE_SECONDS)
    target.ledger.look()
    trial = chosen.trial
    newest = next(iter(trial.checkpoints()), None)
    if trial.state is None and newest is not None and newest.path.exists():
        (flip_bit if damage == "flip" else cut)(newest.path, random.random())
    with suppress(psutil.NoSuchProcess):  # its session may have ended with it meanwhile
        worker.kill()
    yield f"{damage} in {newest.path.name if newest else 'nothing'} of trial {trial.number}, SIGKILL to its worker"


@contextmanager
def _full_ledger(target: Target, random: Random) -> Iterator[str]:
    victim = _victim(target, random, "dispatcher")
    left = random.randrange(400)
    with no_growth_beyond(victim.pid, target.ledger.path.stat().st_size + left):
        yield f"the ledger can grow by {left} bytes"


@contextmanager
def _full_checkpoints(target: Target, random: Random) -> Iterator[str]:
    victim = _victim(target, random, "worker")
    with no_growth_beyond(victim.pid, 5000):
        yield f"no file of worker {victim.pid} can grow beyond 5000 bytes"


@contextmanager
def _read_only_trial(target: Target, random: Random) -> Iterator[str]:
    found = [trial for one in _training(target) if (trial := one.trial).checkpoints()]
    if not found:
        raise NoVictimError("no trial in training with a checkpoint")
    folder = random.choice(found).checkpoints()[0].path.parent
    with _made_read_only(folder):
        yield f"{folder.name} read-only"


@contextmanager
def _read_only_search(target: Target, random: Random) -> Iterator[str]:
    with _made_read_only(target.ledger.path.parent):
        yield "the search's folder read-only"


@contextmanager
def _made_read_only(folder: Path) -> Iterator[None]:
    try:
        with read_only(folder):
            yield
    except PermissionError as error:
        raise NoVictimError(f"{folder}: cannot be made read-only here: {error}") from error


@contextmanager
def _answers(mode: Mode, target: Target, random: Random) -> Iterator[str]:
    proxy = target.server.proxy
    proxy.mode = mode
    try:
        yield f"the tracking server's proxy: {mode}"
    finally:
        proxy.mode = "pass"


@contextmanager
def _server_down(target: Target, random: Random) -> Iterator[str]:
    target.server.kill()
    try:
        yield "SIGKILL to the tracking server"
    finally:
        target.server.start()


def _kills(kind: str, weight: int, sent: signal.Signals = signal.SIGKILL) -> Fault:
    name = f"kill-{kind}" if sent is signal.SIGKILL else f"{sent.name.lower()}-{kind}"
    ray = kind in ("raylet", "gcs", "agent")  # the node ends with any of them
    ends = ray or kind == "driver"
    return Fault(name, f"{sent.name} to a {kind}", partial(_kill, kind, sent), weight, ends=ends, ray=ray)


def _pauses(kind: str, weight: int) -> Fault:
    what = f"SIGSTOP to a {kind}, SIGCONT after seconds"
    return Fault(f"pause-{kind}", what, partial(_pause, kind), weight, seconds=(0.5, 8.0))


def _tracking(mode: Mode, what: str, weight: int) -> Fault:
    # a session that is starting is refused
    return Fault(f"tracking-{mode}", what, partial(_answers, mode), weight, seconds=(3.0, 20.0), ends=True)


DISK = frozenset({"disk"})
FAULTS = (
    _kills("worker", 6),
    _kills("trial", 4),
    _kills("dispatcher", 5),
    _kills("tracking", 3),
    _kills("driver", 3),
    _kills("raylet", 1),
    _kills("gcs", 1),
    _kills("agent", 1),
    _kills("driver", 1, signal.SIGINT),
    _kills("driver", 1, signal.SIGTERM),
    _pauses("worker", 3),
    _pauses("trial", 2),
    _pauses("dispatcher", 3),
    _pauses("driver", 3),
    _pauses("raylet", 1),
    _pauses("gcs", 1),
    _pauses("tracking", 2),
    Fault("hang-worker", "SIGSTOP to a worker for ever", _hang),
    Fault("torn-line", "SIGKILL to the driver, and half a line at the ledger's end", _torn_line, ends=True),
    Fault(
        "flipped-bit",
        "one bit of a newest checkpoint turned over, then SIGKILL to its worker",
        partial(_damaged_checkpoint, "flip"),
        2,
        repeated=1,
    ),
    Fault(
        "cut-checkpoint",
        "a newest checkpoint cut off, then SIGKILL to its worker",
        partial(_damaged_checkpoint, "cut"),
        2,
        repeated=1,
    ),
    Fault(
        "full-ledger",
        "the ledger reaches its file-size limit in the middle of a line",
        _full_ledger,
        seconds=(8.0, 15.0),
        ends=True,
    ),
    Fault(
        "full-checkpoints",
        "a worker's file-size limit is below that of a checkpoint",
        _full_checkpoints,
        seconds=(2.0, 5.0),
        ends=True,  # an outage of the storage ends the session and no trial
        causes=DISK,
    ),
    Fault(
        "read-only-trial", "a trial's folder read-only", _read_only_trial, seconds=(2.0, 5.0), ends=True, causes=DISK
    ),
    Fault(
        "read-only-search",
        "the search's folder read-only",
        _read_only_search,
        seconds=(2.0, 10.0),
        ends=True,
        causes=DISK,
    ),
    _tracking("401", "tracking answers 401", 1),
    _tracking("503", "tracking answers 503", 2),
    _tracking("504", "tracking does what it is asked and a gateway answers 504", 2),
    _tracking("reset", "tracking closes connections without an answer", 1),
    _tracking("silent", "tracking does not answer", 1),
    Fault(
        "tracking-down",
        "SIGKILL to the tracking server, started again",
        _server_down,
        2,
        seconds=(2.0, 20.0),
        ends=True,
    ),
)
