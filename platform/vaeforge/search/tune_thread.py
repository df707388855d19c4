"""Ray Tune's own loop of a search, in a thread: in the main thread it would handle signals itself."""

import os
import threading
from pathlib import Path
from typing import Any

import ray
from ray import tune

from vaeforge.ledger.events import TrialDecided
from vaeforge.search.dispatch.cluster import pin_to_this_node
from vaeforge.search.dispatch.trial import TuneTrial
from vaeforge.search.plan import Plan
from vaeforge.search.ray_scheduler import LedgerScheduler, OnRequest
from vaeforge.search.ray_searcher import OptunaTuneSearcher
from vaeforge.search.schedulers.base import Scheduler, TrialDecision

THIN_SHARE = 0.001  # of a core that a `TuneTrial` reserves: it trains nothing, and a population has many


class TuneThread:
    """Tune, which asks the searcher for trials and the scheduler what becomes of them.

    Attributes:
        problem: what it died of.
    """

    def __init__(
        self, plan: Plan, searcher: OptunaTuneSearcher, scheduler: Scheduler, dispatcher: Any, starts: int | None
    ):
        """
        Args:
            plan: of the search.
            searcher: gives trials.
            scheduler: decides about them.
            dispatcher: the actor's handle.
            starts: processes of trials that may start at once; none leaves that to Tune, which starts one at a time.
        """
        self.problem: BaseException | None = None
        if starts is not None:
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(starts)
        self._plan, self._searcher, self._scheduler, self._dispatcher = plan, searcher, scheduler, dispatcher
        self._thread: threading.Thread | None = None
        self._abandoned = threading.Event()

    def start(self, scratch: Path, requested: threading.Event) -> None:
        """Start it; `scratch` is a folder for what Tune writes and nobody reads, `requested` is set to end it early."""
        self._thread = threading.Thread(target=self._run, args=(scratch, requested), daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def abandon(self, seconds: float) -> None:
        """Have it end, once its trials have nothing more to wait for, and wait for it."""
        self._abandoned.set()
        self.join(seconds)

    def _run(self, scratch: Path, requested: threading.Event) -> None:
        try:
            if self._searcher.remaining:
                self._tuner(scratch, requested).fit()
        except BaseException as error:  # told by the engine
            self.problem = error

    def _tuner(self, scratch: Path, requested: threading.Event) -> Any:
        share = {"CPU": THIN_SHARE} if self._plan.address is None else {"CPU": THIN_SHARE, **pin_to_this_node()}
        trainable = tune.with_resources(tune.with_parameters(TuneTrial, dispatcher=self._dispatcher), share)
        return tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=self._searcher.remaining,
                reuse_actors=True,
                search_alg=self._searcher,
                scheduler=LedgerScheduler(self._scheduler, self._decide),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                verbose=0,
                stop=OnRequest(requested, self._abandoned),
                failure_config=tune.FailureConfig(max_failures=-1),
            ),
        )

    def _decide(self, decisions: list[TrialDecision]) -> None:
        if decisions:
            ray.get(self._dispatcher.decide.remote([self._decided(decision) for decision in decisions]))

    def _decided(self, decision: TrialDecision) -> TrialDecided:
        """A decision as the ledger holds it; a changed schedule may need or lose a fixed parameter."""
        return TrialDecided(
            trial=decision.trial,
            epoch=decision.epoch,
            action=decision.action,
            value=decision.value,
            needed=decision.needed,
            why=decision.why,
            donor=decision.donor,
            params=decision.params and self._plan.space.with_fixed_params(decision.params),
        )
