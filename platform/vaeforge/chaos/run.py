"""Chaos run: random faults against a real search until the time is up, then its end, `sync`, and all invariants.

What is injected when follows from the seed; what it meets does not, since a real search takes the time that it takes.
Every kind of fault comes up before any comes up again as often as its weight allows.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from random import Random

import psutil

from vaeforge.chaos.faults import FAULTS, Fault, NoVictimError
from vaeforge.chaos.invariants import Invariant, Watched, check_search
from vaeforge.chaos.ledger_rules import Expected
from vaeforge.chaos.session import ChaosSearch
from vaeforge.errors import ConfigError, SearchError, nearest
from vaeforge.ledger.events import EpochReported, LedgerEvent
from vaeforge.paths import Project

POLL_SECONDS = 0.25
LONGEST_PAUSE = 8.0  # mean seconds between two faults, where the time allows for it
FAULTS_AT_LEAST = 30  # for which a shorter run makes its pauses shorter
PATIENCE = 240.0  # seconds that a fault waits for an epoch since the last one
IMPATIENT = 0.15  # share of the faults that wait for none, and may strike while a session starts
END_SECONDS = 90.0  # that a session has to end after a signal
TRIED = 4  # faults in a row, while none meets a victim
OWN_CODES = (0, 2, 130, 143)  # what the command line ends with by itself


@dataclass(frozen=True)
class ChaosRequest:
    """What to do.

    Attributes:
        family: whose data and space the search takes.
        minutes: for how long faults are injected.
        seed: of what is injected when.
        injections: after how many it is enough; none: when the time is up.
        faults: names of those that may come; empty: all.
    """

    family: str
    minutes: float
    seed: int = 0
    injections: int | None = None
    faults: tuple[str, ...] = ()

    def kinds(self) -> list[Fault]:
        """The faults that may come.

        Raises:
            ConfigError: if a name is none of a fault, or the time is none.
        """
        known = {fault.name: fault for fault in FAULTS}
        problems = [f"--minutes: got {self.minutes:g}, must be > 0"] if self.minutes <= 0 else []
        for name in self.faults:
            if name not in known:
                problems.append(f"--faults: got {name!r}, must be of {', '.join(known)}{nearest(name, known)}")
        if problems:
            raise ConfigError(problems)
        return [known[name] for name in self.faults] or list(FAULTS)


@dataclass(frozen=True)
class Injection:
    """A fault that was injected.

    Attributes:
        at: seconds after the start.
        fault: its name.
        victim: what was done to what.
        trials: trials that had ended before.
    """

    at: float
    fault: str
    victim: str
    trials: int


@dataclass
class ChaosReport:
    """What a run did and what came of it.

    Attributes:
        seconds: of the whole run; `sessions`: started, the first and each that resumed.
        injections: in order.
        unavailable: faults that could not be injected on this machine or never met a victim.
        ends: how the sessions ended, by exit code.
        trials: trials by state; `attempts`: leases; `crashes`: attempts that failed.
        epochs: reported; `repeated`: of them, those that an earlier attempt had reported, too.
        invariants: what held and what did not.
    """

    family: str
    seed: int
    folder: str
    seconds: float = 0.0
    sessions: int = 0
    injections: list[Injection] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    crashes: int = 0
    epochs: int = 0
    repeated: int = 0
    invariants: list[Invariant] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not any(one.problems for one in self.invariants)


def run_chaos(project: Project, request: ChaosRequest, folder: Path, say: Callable[[str], None]) -> ChaosReport:
    """Inject faults into a search of its own in `folder`, and check it.

    Args:
        project: whose data, parameters and spaces it takes.
        request: what to do.
        folder: must not be there.
        say: takes a line for each fault and each session.

    Raises:
        ConfigError: if there is no such fault, or no time.
        TrackingError: if MLflow's server cannot be started.
    """
    kinds = request.kinds()
    search = ChaosSearch(project, request.family, folder)
    try:
        run = _Run(request, kinds, search, say)
        run.inject()
        run.complete()
        return run.check()
    finally:
        search.close()


class _Run:
    """One run: the faults that are still to come, and what was found on the way."""

    def __init__(self, request: ChaosRequest, kinds: Sequence[Fault], search: ChaosSearch, say: Callable[[str], None]):
        self.request, self.search, self.say = request, search, say
        self.random = Random(request.seed)
        self.report = ChaosReport(request.family, request.seed, str(search.root))
        self.started = time.monotonic()
        self.until = self.started + 60 * request.minutes
        self.pause = min(LONGEST_PAUSE, 60 * request.minutes / FAULTS_AT_LEAST)
        self.coming = _bag(kinds, self.random)
        self.waiting: list[Fault] = []  # that met no victim
        self.done: list[Fault] = []
        self.problems: list[str] = []
        self.excused = self.excused_codes = False  # whether the newest session may end, and with codes of Ray's
        search.start()

    def inject(self) -> None:
        """Until the time is up: wait, inject, and resume the search where it has ended."""
        while self._goes_on():
            self._wait(self.random.uniform(0, 2 * self.pause), self.random.random() > IMPATIENT)
            if self._goes_on() and not self._resumed():
                self._inject_one()

    def _goes_on(self) -> bool:
        enough = self.request.injections is not None and len(self.done) >= self.request.injections
        return not enough and time.monotonic() < self.until

    def _wait(self, seconds: float, for_progress: bool) -> None:
        """Let the search run, and mostly until it has reported an epoch: what does not run cannot be hurt."""
        known, began = len(self.search.ledger.events), time.monotonic()
        while self._poll() is None and self._goes_on():
            waited = time.monotonic() - began
            progress = any(isinstance(event, EpochReported) for event in self.search.ledger.events[known:])
            if waited > seconds and (progress or not for_progress or waited > PATIENCE):
                return
            time.sleep(POLL_SECONDS)

    def _poll(self) -> int | None:
        try:
            return self.search.poll()
        except SearchError as error:
            self._broken(str(error))
            self.excused = True
            return self.search.poll()

    def _resumed(self) -> bool:
        """Whether the session had ended and the next one was started."""
        code = self._poll()
        if code is None:
            return False
        self._note_end(code)
        if code == 0:
            self.search.extend()
        self._start()
        self.say(f"{self._clock()} session {self.search.sessions} resumes the search, after exit code {code}")
        return True

    def _start(self) -> None:
        self.search.start()
        self.excused = self.excused_codes = False

    def _note_end(self, code: int) -> None:
        self.report.ends[code] = self.report.ends.get(code, 0) + 1
        if code and not self.excused:
            self._broken(f"session {self.search.sessions} ended with {code}, which no fault explains; {self._told()}")
        elif code > 0 and code not in OWN_CODES and not self.excused_codes:
            self._broken(f"session {self.search.sessions} ended with {code}, no exit code of its own; {self._told()}")

    def _broken(self, problem: str) -> None:
        self.problems.append(problem)
        self.say(f"{self._clock()} broken: {problem}")

    def _told(self) -> str:
        return f"{self.search.log}: …{' '.join(self.search.said().split())[-400:]}"

    def _inject_one(self) -> None:
        """The next fault that meets a victim; those that meet none come first the next time."""
        for fault in chain(self.waiting.copy(), islice(self.coming, TRIED)):
            try:
                self._do(fault)
            except (NoVictimError, OSError, psutil.Error) as error:  # a victim may end while it is looked at
                self._postpone(fault, str(error))
            else:
                if fault in self.waiting:
                    self.waiting.remove(fault)
                return

    def _postpone(self, fault: Fault, why: str) -> None:
        if self.waiting.count(fault) == 0:
            self.waiting.append(fault)
            self.say(f"{self._clock()} {fault.name} waits: {why}")

    def _do(self, fault: Fault) -> None:
        with fault.inject(self.search, self.random) as victim:
            ended = sum(trial.state is not None for trial in self.search.ledger.history.trials.values())
            at = round(time.monotonic() - self.started, 1)
            self.report.injections.append(Injection(at, fault.name, victim, ended))
            self.done.append(fault)
            self.excused = self.excused or fault.ends
            self.excused_codes = self.excused_codes or fault.ray
            self.say(f"{self._clock()} {len(self.done)} {fault.name}: {victim}; {ended} trials have ended")
            self._hold(self.random.uniform(*fault.seconds))
        if fault.ends:
            self._hold(END_SECONDS if fault.name.endswith("-driver") else 0.0)

    def _hold(self, seconds: float) -> None:
        """Let the fault last, or the session end."""
        until = time.monotonic() + seconds
        while self._poll() is None and time.monotonic() < until:
            time.sleep(POLL_SECONDS)

    def complete(self) -> None:
        """Without further faults, resume the search until it is complete, and bring MLflow up to date."""
        while (code := self._end()) != 0:
            self._note_end(code)
            if self.report.ends[code] > len(self.done) + 3:
                self._broken(f"the search could not be completed: exit code {code}; {self._told()}")
                return
            self._start()
        self._note_end(code)
        self.report.sessions = self.search.sessions
        if (code := self.search.sync()) != 0:
            self._broken(f"sync ended with {code}; {self._told()}")

    def _end(self) -> int:
        while (code := self._poll()) is None:
            time.sleep(POLL_SECONDS)
        return code

    def check(self) -> ChaosReport:
        """The report, with every invariant."""
        search, report = self.search, self.report
        search.server.kill()
        expected = Expected(
            search.trials,
            frozenset[str]().union(*(fault.causes for fault in self.done)),
            max((fault.repeated for fault in self.done), default=0),
        )
        watched = Watched(search.mark, tuple(search.seen))
        taken = Invariant("no finished trial was lost, no line taken back", tuple(search.ledger.taken_back()))
        ends = Invariant("sessions ended only where a fault explains it", tuple(self.problems))
        report.invariants = [taken, ends, *check_search(search.folder, expected, watched, search.server.database)]
        report.seconds = round(time.monotonic() - self.started, 1)
        report.unavailable = sorted({fault.name for fault in self.waiting})
        history = search.ledger.history
        report.trials = history.counts()
        report.attempts = sum(trial.leases for trial in history.trials.values())
        report.crashes = sum(len(trial.crashes) for trial in history.trials.values())
        report.epochs, report.repeated = _epochs(search.ledger.events)
        return report

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self.started)
        return f"{seconds // 60:3d}:{seconds % 60:02d}"


def _bag(kinds: Sequence[Fault], random: Random) -> Iterator[Fault]:
    """Faults in random order, each kind once, then each as often as it weighs, again and again."""
    yield from random.sample(list(kinds), len(kinds))
    weighed = [fault for fault in kinds for _ in range(fault.weight)]
    while True:
        yield from random.sample(weighed, len(weighed))


def _epochs(events: Sequence[LedgerEvent]) -> tuple[int, int]:
    """How many epochs were reported, and how many of them again."""
    reports = [(event.trial, event.epoch) for event in events if isinstance(event, EpochReported)]
    return len(reports), len(reports) - len(set(reports))
