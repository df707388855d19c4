"""A worker group of lanes and the dispatcher of its search in one process: real ones, an event loop for Ray."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
import ray

from samples import random_arrays
from vaeforge.config.loader import load
from vaeforge.ledger.events import SearchHeader, WorkerProcess
from vaeforge.ledger.file import Ledger, read_events
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.search.dispatch import dispatcher_actor, worker
from vaeforge.search.dispatch.dispatcher_actor import DispatcherActor
from vaeforge.search.dispatch.lane_worker import LaneWorker
from vaeforge.search.dispatch.types import DispatchConfig
from vaeforge.search.dispatch.worker import GroupWorker, WorkerConfig
from vaeforge.search.space.objective import SINGLE
from vaeforge.search.space.space import parse_space
from vaeforge.training.distributed import RayProcessGroup
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.families import families

EPOCHS = 2
ENOUGH = 2**50  # bytes that a process may hold
SPACE = {
    "family": "fmri",
    "objective": {"metric": "val/nelbo", "mode": "min"},
    "fidelity": {"max": EPOCHS, "min": 1},
    "search": "random",
    "scheduler": "none",
    "space": {"optimizer.lr": {"float": [1e-4, 1e-2], "log": True}, "model.latent_dim": {"int": [1, 3]}},
}
SMALL = {"model.hidden": [8], "training.batch_size": 5, "training.steps_per_epoch": None}


class OneRank(RayProcessGroup):
    """A group of one rank outside of Ray Train."""

    def __init__(self) -> None:
        self.group, self._control = ProcessGroup(), None


class Handle:
    """Calls an actor as Ray's handles do: `handle.method.remote(...)`, in its event loop."""

    def __init__(self, actor: Any, loop: asyncio.AbstractEventLoop):
        self._actor, self._loop = actor, loop

    def __getattr__(self, name: str) -> Any:
        return _Method(getattr(self._actor, name), self._loop)


class _Method:
    def __init__(self, method: Any, loop: asyncio.AbstractEventLoop):
        self._method, self._loop = method, loop

    def remote(self, *arguments: Any) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(self._method(*arguments), self._loop)


class LaneGroup:
    """A search of one worker group, whose process may be started again and again on the same ledger.

    Attributes:
        actor: the dispatcher, as it was last started.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self._folder, self._path = folder, folder / "ledger.jsonl"
        monkeypatch.setattr(ray, "get", lambda call: call.result())
        monkeypatch.setattr(worker, "_this_process", lambda: WorkerProcess(1, 0.0, "n"))
        monkeypatch.setattr(worker, "open_data", lambda data: data)
        monkeypatch.setattr(dispatcher_actor, "PATIENCE", 0.02)
        ledger = Ledger(self._path)
        ledger.append(SearchHeader(name="s", family="fmri", space={}))
        ledger.close()

    @contextmanager
    def dispatcher(self, config: DispatchConfig | None = None) -> Iterator[DispatcherActor]:
        """The search's dispatcher, while it lasts; it ends as by a kill."""
        self.actor = DispatcherActor(str(self._folder), config or DispatchConfig(), 3, SINGLE)
        self.actor.dispatcher.expected = 0
        try:
            yield self.actor
        finally:
            self.actor.dispatcher.ledger.close()

    def submit(self, sizes: Sequence[int]) -> None:
        """Trials with so many latents."""
        for number, size in enumerate(sizes):
            self.actor.dispatcher.submit(number, {"optimizer.lr": 1e-3, "model.latent_dim": size}, "g")

    def serve(self, lanes: int | Literal["auto"], limit: int = ENOUGH) -> LaneWorker:
        """Run the worker group's process to its end."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            settings = WorkerConfig(
                Handle(self.actor, loop),
                str(self._folder / "trials"),
                random_arrays(families()["fmri"], 13, 4),  # type: ignore[arg-type]
                parse_space(SPACE, "test"),
                load(Path("nowhere"), "fmri", None, SMALL).experiment,
                seed=0,
                lanes=lanes,
                trials=8,
            )
            process = LaneWorker(GroupWorker(settings, 0, OneRank()), lanes, limit)
            process.serve()
            return process
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    @property
    def history(self) -> SearchHistory:
        """What the ledger says."""
        return read_history(self._path)

    def events(self, kind: str) -> list[Any]:
        return [event for event in read_events(self._path) if event.kind == kind]
