"""Dispatcher of trials to worker groups: trials that wait, leases on them, and what follows from each message.

Pure bookkeeping over the ledger, without Ray and without a clock (times are passed in); `dispatcher_actor.py` is this
plus waiting, for the disk, too. Every change is in the ledger before it is applied, so that a dispatcher rebuilt from
it stands where the last one stood. That, and that every call may be repeated with the same effect, is what any change
here must keep: Ray retries calls, and the actor may be killed between any two lines.

A trial that is leased is not handed out a second time. Its lease is taken back when its worker group registers again
(with a higher generation, which counts the group's starts), or hangs (`liveness.py`). `host` is a group's number.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from vaeforge.ledger.events import (
    AttemptCrashed,
    EpochReported,
    InheritedState,
    LedgerEvent,
    Params,
    TrialDecided,
    TrialEvent,
    TrialFinished,
    TrialLeased,
    TrialSubmitted,
    WorkerProcess,
    WorkersRegistered,
)
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.budget import BudgetSpent
from vaeforge.search.dispatch.conclusion import conclusion
from vaeforge.search.dispatch.lane_company import LaneCompany, blamed
from vaeforge.search.dispatch.leases import Leases
from vaeforge.search.dispatch.liveness import Liveness, Pulse
from vaeforge.search.dispatch.types import STORAGE, DispatchConfig, Lease, Reply, TrialReport, WorkerGroup

MAX_STARTS = {"oom": 2}  # attempts by cause, where trying again is unlikely to help
OUTAGE = 3  # attempts in a row that the storage has failed, after which the search stops instead of using up trials
E = TypeVar("E", bound=LedgerEvent)


class Dispatcher:
    """See the module's docstring.

    Attributes:
        groups: worker groups that are up, by number.
        leases: what is being trained, by trial.
        touched: trials to which something has happened since who wakes those that wait for them has looked.
        paused: trials that Tune has paused; they wait for Tune and not for a worker group.
        waiting: trials that wait for a worker group, the next one first; some also wait for a decision, and are
            passed over until it is there.
        released: numbers of the groups that have been given back and must not start again.
        expected: trials that Tune may still submit, at most; unknown before the engine's first look.
        closing: the session ends, and nothing is handed out any more.
        over: why the search ends early, where it does.
        wall: seconds of all sessions.
        company: which trials a group may train at once.
        storage_failures: trials whose attempts failed since the last epoch that was reported, for the storage.
        outage: why the search cannot go on for now, where it cannot.
    """

    def __init__(self, ledger: Ledger, history: SearchHistory, config: DispatchConfig):
        self.ledger, self.history, self.config = ledger, history, config
        self.groups: dict[int, WorkerGroup] = {}
        self.leases = Leases()
        self.touched: set[int] = set()
        self.paused: set[int] = set()
        self.waiting: deque[int] = deque()
        self.released: set[int] = set()
        self.expected: int | None = None
        self.closing = False
        self.over: str | None = None
        self.wall = history.wall_seconds
        self.company = LaneCompany(history.most_lanes, config.attempts)
        self.storage_failures: list[int] = []
        self.outage: str | None = None

    def recover(self, now: float) -> None:
        """Take up again after a restart of the actor: leases that worker groups may still hold remain theirs.

        A search that was over before, by its budget or its target, is over again.
        """
        for host, known in self.history.groups.items():
            self.groups[host] = WorkerGroup(known.generation, known.processes, Liveness.since(now))
        for trial in self.history.unfinished():
            self._conclude(trial)
        for trial in self.history.unfinished():
            if trial.leases and trial.host in self.groups and trial.generation == self.groups[trial.host].generation:
                self.leases[trial.number] = Lease(trial.number, trial.leases, trial.host, trial.generation)
            else:
                self.waiting.append(trial.number)
        self.spend(self.config.limits.over(self.history, dict(self.config.floors), self.wall))

    def _conclude(self, trial: TrialRecord) -> None:
        """Finish a trial that has ended by its last report or decision; on recovery, where a crash came in between."""
        if (end := conclusion(trial)) is not None:
            self._finish(trial, *end)

    def record(self, event: E) -> E:
        """Write to the ledger, then apply."""
        written = self.ledger.write(event)
        self.history.apply(written)
        if isinstance(written, TrialEvent):
            self.touched.add(written.trial)
        return written

    def submit(self, number: int, params: Params, group: str, repeat_of: int | None = None) -> bool:
        """Queue a trial for training, whether new, resumed or paused before; submitting it again changes nothing.

        Returns:
            Whether it was accepted: a new trial is not, once the budget is used up or the session ends.
        """
        trial = self.history.trials.get(number)
        if trial is None and (self.over or self.closing):
            return False
        if trial is None:
            self.record(TrialSubmitted(trial=number, params=params, group=group, repeat_of=repeat_of))
        self.paused.discard(number)
        if self.over and self.history.trials[number].state is None and number not in self.leases:
            self._finish(self.history.trials[number], "stopped", self.over)
        elif self.history.trials[number].state is None and number not in self.leases and number not in self.waiting:
            self.waiting.append(number)
        return True

    def pause(self, number: int) -> EpochReported | None:
        """Free the trial's worker group, because Tune has paused it; returns its newest report."""
        self.paused.add(number)
        self.touched.add(number)
        if number in self.waiting:
            self.waiting.remove(number)
        self.leases.pop(number, None)
        return self.history.trials[number].last

    def decide(self, decision: TrialDecided, inherited: InheritedState | None = None) -> None:
        """Record and carry out a scheduler's decision; a second one after the same epoch changes nothing.

        `inherited` is the copied state from which a trial continues that inherits another one's weights. Whoever was to
        go on stops once the search ends early.
        """
        trial = self.history.trials[decision.trial]
        if trial.state is not None or decision.epoch in trial.decisions:
            return
        if self.over and decision.action != "stop":
            rung = (decision.trial, decision.epoch, decision.value)
            decision = TrialDecided(trial=rung[0], epoch=rung[1], action="stop", value=rung[2], why=self.over)
        self.record(replace(decision, inherited=inherited))
        if decision.action == "stop":
            self._finish(trial, "stopped", decision.why)
        elif self.config.releases_worker and not any(
            trial.number in placed for placed in (self.leases, self.paused, self.waiting)
        ):
            self.waiting.append(trial.number)

    def stop(self, number: int, cause: str) -> None:
        """End a trial for a reason other than a rung, `cause` in words. A paused one is left alone: Tune resumes it."""
        trial = self.history.trials.get(number)
        if trial is not None and trial.state is None and number not in self.paused and not self.closing:
            self._finish(trial, "stopped", cause)

    def register(self, host: int, processes: Sequence[WorkerProcess], now: float) -> int:
        """A worker group is up, for the first time or again; what its earlier generation held waits again.

        Returns:
            Its generation, which it names in every later call.
        """
        self.released.discard(host)
        generation = self.history.groups[host].generation + 1 if host in self.history.groups else 1
        if self.closing:  # too late to train anything: the ledger has its last line, and nothing may follow it
            return generation
        self.record(WorkersRegistered(host=host, generation=generation, processes=tuple(processes)))
        self.groups[host] = WorkerGroup(generation, tuple(processes), Liveness.since(now))
        for lease in self.held_by(host):
            self.crash(lease, "lost", "the worker group that trained it was restarted")
        return generation

    def release(self, host: int) -> bool:
        """Give the group back where there are more groups than trials that run or may still come; whether it is."""
        left = self.expected is not None and len(self.groups) > len(self.history.unfinished()) + self.expected
        if left and not self.has_waiting_trial() and host in self.groups and not self.held_by(host):
            self.released.add(host)
            del self.groups[host]
        return host in self.released

    def ask(self, host: int, generation: int, now: float) -> bool:
        """Note that a worker group asks something, and so gets on; whether it is its present generation."""
        known = self.groups.get(host)
        if known is None or known.generation != generation:
            return False
        known.liveness.ask(now)
        return True

    def beat(self, lease: Lease, rank: int, pulse: Pulse, now: float) -> None:
        """Note a heartbeat of a rank that trains; one under a lease that is no longer valid says nothing."""
        if self.leases.get(lease.trial) == lease and lease.host in self.groups:
            self.groups[lease.host].liveness.beat(rank, pulse, now)

    def held_by(self, host: int) -> list[Lease]:
        """The leases that the worker group holds: one, or one for each of its lanes."""
        return self.leases.held_by(host)

    def lease(self, host: int, generation: int, now: float, known: Collection[int] = ()) -> Lease | None:
        """A lease for the group: one it holds already (the answer was lost), or one on the next trial it can train.

        Args:
            host: number of the group.
            generation: its present one.
            now: of the monotonic clock.
            known: trials that it trains, as it knows itself.
        """
        held = self.held_by(host)
        lost = next((lease for lease in held if lease.trial not in known), None)
        if lost is not None:
            return lost
        if not self.company.has_room(host, len(held)):
            return None
        beside = [self.history.trials[lease.trial] for lease in held]
        if (
            number := next((n for n in self._ready() if self.company.fits(self.history.trials[n], beside)), None)
        ) is None:
            return None
        self.waiting.remove(number)
        attempt = self.history.trials[number].leases + 1
        self.record(TrialLeased(trial=number, attempt=attempt, host=host, generation=generation))
        self.leases[number] = Lease(number, attempt, host, generation)
        if not held:
            self.groups[host].liveness.begin(now)
        return self.leases[number]

    def report(self, lease: Lease, report: TrialReport) -> Reply:
        """Record an epoch, and what follows from it for the trial and the budget; repeating it changes nothing.

        Returns:
            What the worker group does next, see `reply`. A report under a lease that is no longer valid is dropped.
        """
        trial = self.history.trials[lease.trial]
        known = trial.reports.get(report.epoch)
        if known is not None and known.attempt == lease.attempt:
            return self.reply(lease, report.epoch)
        if self.leases.get(lease.trial) != lease:
            return "stop" if trial.state is not None else "release"
        self.record(
            EpochReported(
                trial=lease.trial,
                attempt=lease.attempt,
                **vars(report),
                core_seconds=report.seconds * self.config.cores,
                gpu_seconds=report.seconds * self.config.gpus,
                wall_seconds=self.wall,
            )
        )
        self.storage_failures.clear()
        reached = self.config.limits.reached(trial, dict(self.config.floors))
        self._conclude(trial)
        if reached and trial.state is None:
            self._finish(trial, "completed", reached)
        self.spend(reached)
        if self.over and trial.state is None:
            self._finish(trial, "stopped", self.over)
        return self.reply(lease, report.epoch)

    def spend(self, reason: str | None = None) -> None:
        """End the search early where a budget is used up, or for `reason` (a target was reached).

        Trials that wait for a worker group end now, the others with the epoch that they are in.
        """
        if self.over is not None:
            return
        self.over = reason or self.config.limits.exhausted(self.spent)
        if self.over is not None:
            for trial in self.history.unfinished():
                if trial.number not in self.leases and trial.number not in self.paused:
                    self._finish(trial, "stopped", self.over)

    @property
    def spent(self) -> BudgetSpent:
        return BudgetSpent(self.wall, self.history.core_seconds, self.history.gpu_seconds)

    def reply(self, lease: Lease, epoch: int) -> Reply:
        """What the worker group does after `epoch`.

        Returns:
            `continue`; `stop`, the trial has ended; `release`, take another trial; `wait`, ask again, because the
            scheduler has not decided yet.
        """
        trial = self.history.trials[lease.trial]
        if trial.state is not None:
            return "stop"
        if self.closing or lease.trial in self.paused or self.leases.get(lease.trial) != lease:
            if self.leases.get(lease.trial) == lease:
                del self.leases[lease.trial]
            return "release"
        if not self.undecided(trial) or trial.epoch != epoch:
            return "continue"
        if self.config.releases_worker:
            del self.leases[lease.trial]
            return "release"
        return "wait"

    def crash(self, lease: Lease, cause: str, traceback: str, most: int | None = None) -> None:
        """An attempt failed: the trial waits again, or has failed for good; in an outage of the storage none has."""
        if self.leases.get(lease.trial) != lease:
            return
        del self.leases[lease.trial]
        failed = AttemptCrashed(trial=lease.trial, attempt=lease.attempt, cause=cause, traceback=traceback, most=most)
        self.record(failed)
        trial = self.history.trials[lease.trial]
        if cause in STORAGE:
            self._note_storage(lease.trial, cause, traceback)
        if self.outage is not None:
            self.waiting.append(lease.trial)
        elif trial.setbacks >= min(self.config.attempts, MAX_STARTS.get(cause, self.config.attempts)):
            self._finish(trial, "failed", cause)
        elif lease.trial not in self.paused:
            # what the storage has failed comes last: another trial shows whether it fails them all
            (self.waiting.append if cause in STORAGE else self.waiting.appendleft)(lease.trial)

    def stop_for_storage(self, why: str) -> None:
        """The session cannot go on, as the place where checkpoints lie has failed; no trial ends for it."""
        self.outage = why
        self.closing = True

    def _note_storage(self, number: int, cause: str, traceback: str) -> None:
        """End the session where the storage fails again and again; one trial's own checkpoints may be damaged."""
        self.storage_failures.append(number)
        failures = self.storage_failures
        if len(failures) >= OUTAGE and (cause == "disk" or len(set(failures)) > 1):
            (*_, last) = traceback.strip().splitlines() or ["no reason known"]
            failed = f"the last {len(failures)} attempts could not write or read their checkpoints"
            self.stop_for_storage(f"{failed} ({last})")

    def hanging(self, now: float) -> dict[int, str]:
        """Numbers of the worker groups that give no sign of life or do not get on, each with what is wrong."""
        found = {number: self._problem(number, group, now) for number, group in self.groups.items()}
        return {number: problem for number, problem in found.items() if problem is not None}

    def _problem(self, number: int, group: WorkerGroup, now: float) -> str | None:
        trials = [self.history.trials[lease.trial] for lease in self.held_by(number)]
        reported = any(trial.last is not None and trial.last.attempt == trial.leases for trial in trials)
        hangs = max((trial.hangs for trial in trials), default=0)
        return group.liveness.problem(now, self.config.hang_seconds, reported, hangs)

    def lose(self, host: int, cause: str, why: str) -> tuple[WorkerProcess, ...]:
        """Void the leases of a worker group that hangs or is lost; it registers anew when it comes back.

        Returns:
            Its processes, which may still be there.
        """
        known = self.groups.pop(host, None)
        held = self.held_by(host) if known is not None else []
        cause, why, most = blamed(len(held), cause, why)
        for lease in held:
            self.crash(lease, cause, why, most)
        return () if known is None else known.processes

    def on_dead_nodes(self, nodes: Iterable[str]) -> list[int]:
        """Numbers of the worker groups of which a process ran on a node that is not among the living `nodes`."""
        alive = set(nodes)
        return [n for n, group in self.groups.items() if not {p.node for p in group.processes} <= alive]

    def has_waiting_trial(self) -> bool:
        """Whether a trial could be trained now: it waits for a worker group and for no decision."""
        return self.ready(1) > 0

    def ready(self, most: int) -> int:
        """How many trials could be trained now, counted up to `most`."""
        return sum(1 for _ in islice(self._ready(), most))

    def _ready(self) -> Iterator[int]:
        """Those that wait for a worker group and for no decision."""
        return (number for number in self.waiting if not self.undecided(self.history.trials[number]))

    @property
    def ends(self) -> int:
        """How many trials have ended."""
        return len(self.history.ended_trials)

    def undecided(self, trial: TrialRecord) -> bool:
        """Whether the trial stands at a rung without the scheduler's decision."""
        compared = trial.epoch in self.config.epochs and trial.repeat_of is None
        return compared and trial.epoch not in trial.decisions

    def _finish(self, trial: TrialRecord, state: str, cause: str | None) -> None:
        self.leases.pop(trial.number, None)
        if trial.number in self.waiting:
            self.waiting.remove(trial.number)
        self.record(
            TrialFinished(
                trial=trial.number,
                state=state,
                cause=cause,
                value=trial.value,
                epoch=trial.epoch,
                seconds=trial.seconds,
            )
        )
