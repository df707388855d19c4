"""Searcher of Ray Tune: unfinished trials first, then start points, then a sampler's proposals, then repeats.

Tune asks it for trials (`suggest`) and tells it of their ends (`on_trial_complete`), both in Tune's own loop, which
must not wait for a sampler: proposals are made ahead, in the one thread that also tells the sampler how trials ended. A
deterministic search makes none ahead, so that each proposal knows of every trial that ended before it. Samplers are
those of `samplers/`, through the interface in `samplers/base.py`; Optuna's are only some of them.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ray.tune.search import Searcher

from vaeforge.ledger.history import REPEATED, SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.dispatch.types import TrialConfig
from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.optuna_bridge.dashboard import Dashboard
from vaeforge.search.samplers.trials import FinishedTrial, transferred
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.objective import objective_values

ENDS = 9  # of trials that tell how often one ends
# the state that a sampler is told, by the outcome that Tune has seen last: one that it still saw running was stopped
STATES = {"running": "stopped", "stopped": "stopped", "nan": "failed", "crash": "failed"}


@dataclass(frozen=True)
class SearchTargets:
    """What a search is to run.

    Attributes:
        trials: how many, repeats not counted.
        start: points that are tried first.
        repeats: runs of each finalist, its own included.
        finalists: how many trials are repeated.
        ahead: proposals made before they are asked for.
        stagnation: trials without improvement after which no more are proposed; none for no such end.
    """

    trials: int
    start: tuple[Params, ...] = ()
    repeats: int = 1
    finalists: int = 0
    ahead: int = 1
    stagnation: int | None = None


class OptunaTuneSearcher(Searcher):
    """See the module's docstring.

    Attributes:
        ask_seconds: time that the sampler took, `wait_seconds` the part of it for which Tune had to wait.
        interrupted: set by the engine after a signal: Tune then ends trials that have not ended, of which nothing must
            be told.
        ended: why no more trials are proposed, unless it is that all of them have been.
    """

    def __init__(
        self,
        sampler: Sampler,
        history: SearchHistory,
        targets: SearchTargets,
        group: Callable[[Params], str],
        max_concurrent: Callable[[], int],
        finalists: Callable[[int], list[int]],
        dashboard: Dashboard,
        announce: Callable[[int], None],
    ):
        """
        Args:
            sampler: proposes what start points do not give.
            history: what the search has done so far.
            targets: what is to be run.
            group: of flat parameters, the group that a scheduler compares the trial in.
            max_concurrent: how many trials may be handed out at a time, now.
            finalists: numbers of the best trials, as many as asked for.
            dashboard: is shown every trial.
            announce: is told the number of each trial that is handed to Tune.
        """
        super().__init__(metric="value", mode="min")
        self._sampler, self._targets, self._group = sampler, targets, group
        self._max_concurrent, self._finalists, self._dashboard = max_concurrent, finalists, dashboard
        self._announce = announce
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sampler")
        self._ahead: deque[tuple[int, Future[Params | None]]] = deque()
        self._adopted = deque(sorted(history.unfinished(), key=lambda trial: trial.number))
        self._live: dict[str, TrialConfig] = {}
        self._ends: deque[float] = deque(maxlen=ENDS)
        self._params = {number: trial.params for number, trial in history.trials.items()}
        self._repeated = {n: t.repeat_of for n, t in history.trials.items() if t.repeat_of is not None}
        self._repeats: deque[int] | None = None
        self.ask_seconds = self.wait_seconds = 0.0
        self.interrupted = False
        self.ended: str | None = None
        self._given_up: list[int] = []
        self._tell_earlier(history)

    def _tell_earlier(self, history: SearchHistory) -> None:
        """Tell the sampler what other searches and earlier sessions of this one have found out."""
        for other in history.warm_starts:
            for trial in other.trials if other.use == "values" else ():
                self._sampler.tell(transferred(trial))
        for number, record in sorted(history.trials.items()):
            if record.repeat_of is None and record.state is not None:
                self._sampler.tell(finished_trial_of(record, objective_values(record, self._sampler.goals)))
            elif record.repeat_of is None:
                self._sampler.adopt(number, record.params)

    @property
    def seconds_between_ends(self) -> float | None:
        """Mean time between the last trials' ends; none before two have ended."""
        count = len(self._ends)
        return (self._ends[-1] - self._ends[0]) / (count - 1) if count > 1 else None

    @property
    def _begun(self) -> int:
        """How many trials that repeat no other have been handed out, in this session and earlier ones."""
        return len(self._params) - len(self._repeated)

    @property
    def remaining(self) -> int:
        """Trials that may still be handed out, at most."""
        new = 0 if self.ended else max(0, self._targets.trials - self._begun)
        repeats = self._targets.finalists * (self._targets.repeats - 1)
        return len(self._adopted) + new + (repeats if self._repeats is None else len(self._repeats))

    @property
    def open(self) -> int:
        """Trials that run or may still be handed out."""
        return len(self._live) + self.remaining

    @property
    def lost(self) -> list[int]:
        """Trials that Tune was handed and has not completed, or has given up because their process was lost."""
        return [*self._given_up, *(config.trial for config in self._live.values())]

    def close(self, known: SearchHistory | None = None) -> None:
        """Let the sampler's thread and the dashboard finish what they have begun.

        Args:
            known: the ledger at an early end, where it can be read: trials that were handed out may not have begun.
        """
        if known is not None:
            self._dashboard.leave_out_others(known)
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._dashboard.close()

    def end(self, reason: str) -> None:
        """Hand out no more trials."""
        self.ended = self.ended or reason
        self._repeats = deque()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A `TrialConfig` as Tune takes it; none for not now."""
        if len(self._live) >= self._max_concurrent():
            return None
        started = time.monotonic()
        config = self._config()
        self.wait_seconds += time.monotonic() - started
        if config is not None:
            self._live[trial_id] = config
            self._params[config.trial] = config.params
            self._announce(config.trial)
            return asdict(config)
        return None if self._live and self.remaining else str(Searcher.FINISHED)

    def _config(self) -> TrialConfig | None:
        """The next trial, in the order of the module's docstring; none where there is none, or none yet."""
        if self._adopted:
            trial = self._adopted.popleft()
            return TrialConfig(trial.number, trial.params, trial.group, trial.repeat_of)
        if self.ended is None and self._begun < self._targets.trials:
            number = max(self._params, default=-1) + 1
            params = self._proposal(number)
            if params is not None:
                self._dashboard.submitted(number, params)
                return TrialConfig(number, params, self._group(params), None)
            self.ended = "every point of the grid has been tried"
        return self._repeat()

    def _proposal(self, number: int) -> Params | None:
        """The parameters of trial `number`, while those after it are begun; none where the sampler has no more."""
        if self._begun < len(self._targets.start):
            point = self._targets.start[self._begun]
            return self._thread.submit(self._ask, number, point).result()
        found = next((future for known, future in self._ahead if known == number), None)
        params = (found or self._thread.submit(self._ask, number, None)).result()
        self._ahead = deque((known, future) for known, future in self._ahead if known > number)
        following = range(number + 1 + len(self._ahead), number + 1 + self._targets.ahead)
        for ahead in following if params is not None else ():
            if ahead - number + self._begun < self._targets.trials:
                self._ahead.append((ahead, self._thread.submit(self._ask, ahead, None)))
        return params

    def _ask(self, number: int, given: Params | None) -> Params | None:
        started = time.monotonic()
        try:
            return self._sampler.ask(number, given)
        finally:
            self.ask_seconds += time.monotonic() - started

    def _repeat(self) -> TrialConfig | None:
        """The next run of a finalist under another seed, once all other trials have ended."""
        if self._targets.repeats < 2 or any(config.repeat_of is None for config in self._live.values()):
            return None
        if self._repeats is None:
            found = self._finalists(self._targets.finalists)
            done = [list(self._repeated.values()).count(number) for number in found]
            missing = [[n] * (self._targets.repeats - 1 - k) for n, k in zip(found, done, strict=True)]
            self._repeats = deque(number for numbers in missing for number in numbers)
        if not self._repeats:
            return None
        origin, number = self._repeats.popleft(), max(self._params) + 1
        self._repeated[number] = origin
        self._dashboard.submitted(number, self._params[origin])
        return TrialConfig(number, self._params[origin], REPEATED, origin)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: a sampler needs one number of a trial, and is told it at the trial's end."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell sampler and dashboard of a trial's end, unless it was never begun or the search is interrupted."""
        config = self._live.pop(trial_id, None)
        self._ends.append(time.monotonic())
        if error and config is not None:
            self._given_up.append(config.trial)
        outcome = "crash" if error or not result else str(result["outcome"])
        if config is None or outcome == "refused" or self.interrupted:
            return
        found = result or {"epoch": 0, "value": math.nan}
        values = [found["value"]] if len(self._sampler.goals) == 1 else list(found.get("goals") or [None])
        state = STATES.get(outcome, outcome)
        ended = FinishedTrial(config.trial, config.params, state, all_finite(values), found["epoch"])
        self._dashboard.ended(ended, attributes={"group": config.group, "repeat_of": config.repeat_of})
        if config.repeat_of is None:
            self._thread.submit(self._tell, ended)

    def _tell(self, ended: FinishedTrial) -> None:
        self._sampler.tell(ended)
        patience = self._targets.stagnation
        if patience is not None and self._sampler.stagnates(patience):
            self.ended = self.ended or f"no improvement in {patience} trials"

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's copy of the searcher is not what a search resumes from."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, for the same reason."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


def all_finite(values: list[float | None]) -> tuple[float, ...] | None:
    """`values`, if all of them are finite numbers."""
    finite = tuple(value for value in values if value is not None and math.isfinite(value))
    return finite if len(finite) == len(values) else None


def finished_trial_of(trial: TrialRecord, goals: list[float | None]) -> FinishedTrial:
    """An ended trial of the ledger as a sampler is told of it."""
    assert trial.state is not None
    return FinishedTrial(trial.number, trial.params, trial.state, all_finite(goals), trial.epoch)
