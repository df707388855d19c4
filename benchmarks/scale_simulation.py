"""Simulated search of many hosts: real dispatcher, ledger, searcher, sampler and scheduler, and nothing that trains.

Hosts and Tune's trials are coroutines that call the dispatcher's actor as worker groups and `TuneTrial` do; an epoch is
a sleep on a simulated clock (`simulated_clock.py`). What Ray's messages cost is not in it. The driver's work, sampler
and scheduler, is done in turn with the dispatcher's and counted apart, as it is in a process of its own.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from simulated_clock import SimulatedLoop

from vaeforge.config.loader import load
from vaeforge.ledger.events import SearchEnded, SearchHeader, TrialDecided, WorkerProcess
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.search.dispatch.dispatcher_actor import DispatcherActor
from vaeforge.search.dispatch.types import DispatchConfig, Task, TrialConfig, TrialReport
from vaeforge.search.ray_scheduler import LedgerScheduler
from vaeforge.search.ray_searcher import OptunaTuneSearcher, SearchTargets
from vaeforge.search.samplers.optuna_bridge.dashboard import Dashboard
from vaeforge.search.schedulers.base import TrialDecision
from vaeforge.search.space.space import Space, parse_space, read_space
from vaeforge.training.checkpoint_files import Checkpoint

ROOT = Path(__file__).resolve().parents[1]
TICK_SECONDS, HEALTH_SECONDS = 1.0, 5.0  # as the engine has them
HASH = "0123456789abcdef" * 4


@dataclass(frozen=True)
class Size:
    """What is simulated: `seconds` are those of an epoch, which differ by a fifth from trial to trial."""

    hosts: int
    trials: int
    epochs: int
    seconds: float
    sampler: str = "tpe"
    scheduler: str = "none"
    steady: bool = False


@dataclass
class Measured:
    """Seconds of each answer by call, and what the driver's parts took."""

    answers: dict[str, list[float]] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)

    def answer(self, call: str, seconds: float) -> None:
        self.answers.setdefault(call, []).append(seconds)

    def part(self, name: str, seconds: float) -> None:
        self.parts[name] = self.parts.get(name, 0.0) + seconds


def space_of(size: Size) -> Space:
    """The space of the family fmri, with conditional parameters, at so many epochs."""
    space = read_space(ROOT / "tune_spaces" / "fmri.yaml")
    strategies = {"search": size.sampler, "scheduler": size.scheduler}
    content = {**space.content, **strategies, "fidelity": {"max": size.epochs, "min": 4, "reduction": 3}}
    if size.epochs < 6:
        content["fidelity"] = {"max": size.epochs, "min": 1, "reduction": 3}
    return parse_space(content, "benchmark")


def header_of(size: Size, folder: Path) -> SearchHeader:
    """The first line of the ledger."""
    config = load(folder, "fmri")
    return SearchHeader(
        name="scale",
        family="fmri",
        experiment_name="vaeforge-fmri",
        space=dict(space_of(size).content),
        settings=config.model_dump(mode="json"),
        data_identity="0" * 64,
        data_source=str(folder),
        seed=0,
        trials=size.trials,
        configuration_hash="0",
        code_hash="0",
        command="benchmark",
    )


class Simulation:
    """One search; `run` returns once all trials have ended, or after `until` ended ones."""

    def __init__(self, size: Size, folder: Path, loop: SimulatedLoop):
        self.size, self.folder, self.loop = size, folder, loop
        self.ledger = folder / "artifacts" / "searches" / "scale" / "ledger.jsonl"
        if not self.ledger.exists():
            ledger = Ledger(self.ledger)
            ledger.append(header_of(size, folder))
            ledger.close()
        self.space = space_of(size)
        self.base = load(folder, "fmri").experiment
        self.measured = Measured()
        earlier = read_history(self.ledger)
        scheduler = self.space.build_scheduler(0, size.trials)
        scheduler.replay(earlier)
        config = DispatchConfig(epochs=scheduler.epochs, releases_worker=scheduler.releases_worker)
        self.actor = DispatcherActor(str(self.ledger.parent), config, 3, self.space.objective)
        self.searcher = self._searcher(earlier)
        self.decisions: list[TrialDecision] = []
        self.scheduler = LedgerScheduler(scheduler, self.decisions.extend)
        self.sampler_free = self.tune_free = 0.0
        self.freed = asyncio.Event()
        self.tune: set[asyncio.Task[None]] = set()

    def _searcher(self, earlier: SearchHistory) -> OptunaTuneSearcher:
        return OptunaTuneSearcher(
            self.space.build_sampler(0),
            earlier,
            SearchTargets(trials=self.size.trials, start=self.space.start),
            lambda params: self.space.group(params, self.base),
            lambda: self.size.hosts + 1,
            lambda count: [],
            Dashboard(self.ledger.with_name("optuna.journal"), "scale", self.space, earlier),
        )

    async def call(self, name: str, *arguments: Any) -> Any:
        """An answer of the dispatcher; what it took is noted."""
        started = self.loop.look()
        answer = await getattr(self.actor, name)(*arguments)
        self.measured.answer(name, self.loop.look() - started)
        return answer

    async def driver(self, part: str, work: Callable[[], Any]) -> Any:
        """Work of the driver's process, which does one thing after the other; the dispatcher's clock stands still."""
        while (wait := self.tune_free - self.loop.time()) > 0:
            await asyncio.sleep(wait)
        with self.loop.elsewhere() as took:
            result = work()
        self.measured.part(part, took[0])
        self.tune_free = self.loop.time() + took[0]
        await asyncio.sleep(took[0])
        return result

    async def run(self) -> float:
        """Simulated seconds of the search."""
        started = self.loop.time()
        watch = asyncio.create_task(self._watch())
        hosts = [asyncio.create_task(self._host(number)) for number in range(self.size.hosts)]
        await self._tune()
        took = self.loop.time() - started
        await self.actor.close()
        watch.cancel()
        await asyncio.gather(*hosts)
        best = min(self.actor.dispatcher.history.trials.values(), key=lambda trial: trial.value or math.inf)
        end = SearchEnded(reason="trials", seconds=took, trials=self.size.trials, best=best.number, value=best.value)
        await self.actor.record(end)
        self.searcher.close()
        return took

    async def _watch(self) -> None:
        """What the engine asks every second and every five."""
        began = self.loop.time()
        for second in range(1, 10**9):
            await asyncio.sleep(TICK_SECONDS)
            await self.call("tick", self.loop.time() - began, self.searcher.remaining)
            if second % int(HEALTH_SECONDS / TICK_SECONDS) == 0:
                await self.call("end_hanging", ["n"])

    async def _tune(self) -> None:
        """Tune's loop: asks for trials and starts them."""
        count = 0
        while True:
            self.freed.clear()
            if (wait := self.sampler_free - self.loop.time()) > 0:
                await asyncio.sleep(wait)
            found = await self.driver("suggest", partial(self.searcher.suggest, str(count)))
            if isinstance(found, dict):
                self._let_sampler_work()
                config = TrialConfig(**found)
                task = asyncio.create_task(self._trial(str(count), config))
                self.tune.add(task)
                task.add_done_callback(self.tune.discard)
                count += 1
            elif found is None:
                await self.freed.wait()
            else:
                break
        while self.tune:
            await asyncio.gather(*self.tune)

    def _let_sampler_work(self) -> None:
        """The sampler's thread proposes ahead: its time is its own, and the next proposal is there after it."""
        with self.loop.elsewhere() as took:
            self.searcher._thread.submit(lambda: None).result()
        self.measured.part("ahead", took[0])
        self.sampler_free = self.loop.time() + took[0]

    async def _trial(self, trial_id: str, config: TrialConfig) -> None:
        """A `TuneTrial`, and what Tune does with its reports."""
        await self.call("submit", config.trial, config.params, config.group, config.repeat_of)
        after, done, result = 0, False, dict[str, Any]()
        stub = SimpleNamespace(config=vars(config))
        while not done:
            for report in await self.actor.reports(config.trial, after):
                after, value = report.epoch, math.nan if report.value is None else report.value
                result = {**vars(report), "value": value, "done": report.outcome != "running"}
                if result["done"]:
                    done = True
                    break
                if report.epoch in self.scheduler._scheduler.epochs:
                    await self._decide(lambda shown=result: self.scheduler.on_trial_result(None, stub, shown))
        await self._decide(lambda: self.scheduler.on_trial_complete(None, stub, result))
        await self.driver("told", lambda: self.searcher.on_trial_complete(trial_id, result))
        self.freed.set()

    async def _decide(self, ask: Callable[[], Any]) -> None:
        await self.driver("scheduler", ask)
        found, self.decisions[:] = list(self.decisions), []
        if found:
            told = [vars(one) | {"inherited": None} for one in found]
            await self.call("decide", [TrialDecided(**one) for one in told])

    async def _host(self, number: int) -> None:
        """A worker group: registers, takes tasks, reports epochs."""
        generation = await self.call("register", number, [WorkerProcess(number, 0.0, "n")])
        while (task := await self.actor.next_task(number, generation)) != "end":
            if isinstance(task, Task):
                await self._train(task)

    async def _train(self, task: Task) -> None:
        number = task.lease.trial
        pace = 1.0 if self.size.steady else float(np.random.default_rng(number).uniform(0.8, 1.2))
        for report in example_trial(self.size, self.ledger.parent, number):
            await asyncio.sleep(self.size.seconds * pace)
            started = self.loop.look()
            reply = await self.actor.report(task.lease, report)
            kind = "report_at_rung" if report.epoch in self.scheduler._scheduler.epochs else "report"
            self.measured.answer(kind, self.loop.look() - started)
            while reply == "wait":
                reply = await self.actor.reply(task.lease, report.epoch)
            if reply != "continue":
                return


def example_trial(size: Size, search: Path, trial: int) -> Iterator[TrialReport]:
    """The epochs of a trial, with as many numbers as real ones have, and a value that goes down."""
    level = float(np.random.default_rng(trial).normal(2000, 20))
    for epoch in range(1, size.epochs + 1):
        value = level + 200 * math.exp(-epoch / 10)
        metrics = {name: value + place for place, name in enumerate(METRICS)} | {"val/nelbo": value}
        file = search / "trials" / f"{trial:05d}" / f"epoch-{epoch:05d}.pt"
        state = Checkpoint(str(file), HASH, epoch)
        outcome = "completed" if epoch == size.epochs else "running"
        yield TrialReport(epoch, metrics, value, outcome, size.seconds, state, state)


METRICS = (
    *("train/loss", "train/distortion", "train/rate", "gradient_norm", "beta", "lr", "val/nelbo"),
    *("val/nelbo_train_likelihood", "val/rate", "val/distortion", "val/mse", "val/active_units"),
)


def simulate(size: Size, folder: Path) -> tuple[Simulation, float, float]:
    """The simulation after its end, its simulated seconds and the real ones."""
    folder.mkdir(parents=True, exist_ok=True)
    loop = SimulatedLoop()
    asyncio.set_event_loop(loop)
    started = time.process_time()

    async def whole() -> tuple[Simulation, float]:
        simulation = Simulation(size, folder, loop)
        return simulation, await simulation.run()

    simulation, took = loop.run_until_complete(whole())
    loop.close()
    return simulation, took, time.process_time() - started
