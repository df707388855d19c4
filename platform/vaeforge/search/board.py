"""Who trains what: trials that wait, leases that hosts hold, and what follows from each message.

Pure bookkeeping over the ledger, without Ray, clocks passed in: the broker is this plus waiting. Every change is
appended to the ledger before it is applied, so that a board rebuilt from the ledger stands where the last one stood.
No call pops: a lease is taken back when its host comes again with a higher generation, or is not heard of in time.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from vaeforge.search.history import FINAL_OUTCOMES, History, TrialRecord
from vaeforge.search.ledger import Event, Ledger

Reply = Literal["go", "stop", "drop", "hold"]
MAX_STARTS = {"oom": 2, "disk": 1, "checkpoint": 1}


@dataclass(frozen=True)
class Lease:
    """One attempt at one trial by one host."""

    trial: int
    attempt: int
    host: int
    generation: int


@dataclass
class Host:
    """A worker group as the board knows it: its newest generation, its processes, when it was last heard of."""

    generation: int
    processes: list[dict[str, Any]]
    heard: float


class Board:
    """See the module's docstring."""

    def __init__(self, ledger: Ledger, history: History, rungs: list[int], attempts: int):
        self.ledger, self.history = ledger, history
        self.rungs, self.attempts = frozenset(rungs), attempts
        self.hosts: dict[int, Host] = {}
        self.leases: dict[int, Lease] = {}
        self.parked: set[int] = set()
        self.waiting: deque[int] = deque()
        self.closing = False
        self.epoch_seconds: deque[float] = deque(maxlen=101)

    def readopt(self, now: float) -> None:
        """After a restart of the board within one search: leases that hosts may still hold are still theirs."""
        for host, generation in self.history.generations.items():
            self.hosts[host] = Host(generation, [], now)
        for trial in self.history.unfinished():
            if trial.leases and trial.host in self.hosts and trial.generation == self.hosts[trial.host].generation:
                self.leases[trial.number] = Lease(trial.number, trial.leases, trial.host, trial.generation)
            else:
                self.waiting.append(trial.number)

    def record(self, event: str, **fields: Any) -> Event:
        """Append to the ledger, then apply."""
        written = self.ledger.append(event, **fields)
        self.history.apply(written)
        return written

    # trials come from Tune

    def submit(self, number: int, params: dict[str, Any], group: str) -> None:
        """A trial wants to be trained; submitting it again changes nothing."""
        trial = self.history.trials.get(number)
        if trial is None:
            self.record("submitted", trial=number, params=params, group=group)
        self.parked.discard(number)
        if not self._ended(number) and number not in self.leases and number not in self.waiting:
            self.waiting.append(number)

    def park(self, number: int) -> Event | None:
        """Free the trial's host; returns its newest report."""
        self.parked.add(number)
        if number in self.waiting:
            self.waiting.remove(number)
        self.leases.pop(number, None)
        return self.history.trials[number].last

    def decide(
        self, number: int, epoch: int, action: Literal["go", "stop"], value: float, cutoff: float | None
    ) -> None:
        """Tune's decision at a rung; the second one on the same rung changes nothing."""
        trial = self.history.trials[number]
        if trial.state is not None or epoch in trial.decisions:
            return
        self.record("decided", trial=number, epoch=epoch, action=action, value=value, cutoff=cutoff)
        if action == "stop":
            self._finish(trial, "stopped", f"rung {epoch}: {value:.6g}, needed <= {cutoff:.6g}")

    def stop(self, number: int, cause: str) -> None:
        """End a trial for a reason other than a rung; one that Tune has only paused goes on later."""
        trial = self.history.trials.get(number)
        if trial is not None and trial.state is None and number not in self.parked and not self.closing:
            self._finish(trial, "stopped", cause)

    # hosts

    def register(self, host: int, processes: list[dict[str, Any]], now: float) -> int:
        """A worker group starts or restarts; what its earlier generation held waits again."""
        generation = self.history.generations.get(host, 0) + 1
        if self.closing:  # a host that comes up when the search has ended: nothing of it belongs into the ledger
            return generation
        self.record("registered", host=host, generation=generation, processes=processes)
        self.hosts[host] = Host(generation, processes, now)
        for lease in [held for held in self.leases.values() if held.host == host]:
            self.crash(lease, "lost", "the worker group that trained it was restarted")
        return generation

    def heard(self, host: int, generation: int, now: float) -> bool:
        """Note a sign of life; whether it is of the host's present generation."""
        known = self.hosts.get(host)
        if known is None or known.generation != generation:
            return False
        known.heard = now
        return True

    def held_by(self, host: int) -> Lease | None:
        return next((lease for lease in self.leases.values() if lease.host == host), None)

    def lease(self, host: int, generation: int) -> Lease | None:
        """A lease for the host: the one it holds already (its answer was lost), or the next ready trial's."""
        held = self.held_by(host)
        if held is not None:
            return held
        number = next((n for n in self.waiting if not self._undecided(self.history.trials[n])), None)
        if number is None:
            return None
        self.waiting.remove(number)
        attempt = self.history.trials[number].leases + 1
        self.record("leased", trial=number, attempt=attempt, host=host, generation=generation)
        self.leases[number] = Lease(number, attempt, host, generation)
        return self.leases[number]

    def report(self, lease: Lease, report: dict[str, Any]) -> Reply:
        """An epoch's report; repeating it changes nothing."""
        trial = self.history.trials[lease.trial]
        known = trial.reports.get(report["epoch"])
        if known is not None and known["attempt"] == lease.attempt:
            return self.reply(lease, report["epoch"])
        if self.leases.get(lease.trial) != lease:
            return "stop" if trial.state is not None else "drop"
        self.record("reported", trial=lease.trial, attempt=lease.attempt, **report)
        self.epoch_seconds.append(report["seconds"])
        if report["outcome"] == "nan":
            self._finish(trial, "failed", "nan")
        elif report["outcome"] in FINAL_OUTCOMES:
            self._finish(trial, report["outcome"], None)
        return self.reply(lease, report["epoch"])

    def reply(self, lease: Lease, epoch: int) -> Reply:
        """What the host does after `epoch`."""
        trial = self.history.trials[lease.trial]
        if trial.state is not None:
            return "stop"
        if self.closing or lease.trial in self.parked or self.leases.get(lease.trial) != lease:
            if self.leases.get(lease.trial) == lease:
                del self.leases[lease.trial]
            return "drop"
        return "hold" if self._undecided(trial) and trial.epoch == epoch else "go"

    def crash(self, lease: Lease, cause: str, traceback: str) -> None:
        """An attempt failed: the trial waits again, or has failed for good."""
        if self.leases.get(lease.trial) != lease:
            return
        del self.leases[lease.trial]
        self.record("crashed", trial=lease.trial, attempt=lease.attempt, cause=cause, traceback=traceback)
        trial = self.history.trials[lease.trial]
        if len(trial.crashes) >= min(self.attempts, MAX_STARTS.get(cause, self.attempts)):
            self._finish(trial, "failed", "crash" if cause == "lost" else cause)
        elif lease.trial not in self.parked:
            self.waiting.appendleft(lease.trial)

    def overdue(self, now: float) -> list[tuple[int, Host]]:
        """Hosts not heard of for max(60 s, 5 times the median epoch)."""
        ordered = sorted(self.epoch_seconds)
        deadline = max(60.0, 5 * ordered[len(ordered) // 2] if ordered else 0.0)
        return [(number, host) for number, host in self.hosts.items() if now - host.heard > deadline]

    def forget(self, host: int) -> None:
        """Void what an overdue host holds; it registers anew when it comes back."""
        known = self.hosts.pop(host, None)
        held = self.held_by(host)
        if known is not None and held is not None:
            self.crash(held, "lost", "its host gave no sign of life in time and was ended")

    def _undecided(self, trial: TrialRecord) -> bool:
        return trial.epoch in self.rungs and trial.epoch not in trial.decisions

    def _ended(self, number: int) -> bool:
        return self.history.trials[number].state is not None

    def _finish(self, trial: TrialRecord, state: str, cause: str | None) -> None:
        self.leases.pop(trial.number, None)
        if trial.number in self.waiting:
            self.waiting.remove(trial.number)
        self.record(
            "finished",
            trial=trial.number,
            state=state,
            cause=cause,
            value=trial.value,
            epoch=trial.epoch,
            seconds=trial.seconds,
        )
