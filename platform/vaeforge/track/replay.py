"""Replays a search's ledger into MLflow, any number of times, from wherever the last replay stopped.

`artifacts/searches/<name>/tracking.json` holds how far the store has been told and the ids of its runs. It is written
after the store; should a crash fall between the two, the next replay tells the same again, which changes nothing.
"""

import fcntl
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from vaeforge.errors import TrackingError
from vaeforge.paths import read_json, write_json
from vaeforge.track.ledger_reader import Event, Fold, read_lines
from vaeforge.track.mlflow_writer import Mirror, ledger_id
from vaeforge.track.store import absolute_uri, open_store, redact

_CURSOR, _LOCK = "tracking.json", "tracking.lock"
# MLflow's own retries cannot know whether a run was made before the connection broke; ours look first.
_ONE_TRY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}


class RunIds(TypedDict):
    """The MLflow runs of a search: its parent's, and its trials' by number."""

    parent: str
    trials: dict[int, str]


class Replay:
    """The replay of one ledger into the store at `uri`, of the project at `root`.

    `from_start` tells the store everything again, whatever was written down about what it has been told.
    """

    def __init__(self, ledger: Path, uri: str, root: Path, from_start: bool = False):
        self.fold = Fold()
        self.damaged = 0
        self._ledger = ledger
        self._uri = absolute_uri(uri, root)
        self._root = root
        self._from_start = from_start
        self._offset = 0
        self._started = False
        self._behind = False
        self._mirror: Mirror | None = None
        self._known_runs: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether the store has been told that the search's newest session is over."""
        return self.fold.over and not self._behind

    def step(self) -> None:
        """Tell the store what the ledger says that it has not been told. Raising half way, it can be called again.

        Raises:
            TrackingError: if the store cannot be opened.
            MlflowException: if it refuses or does not answer.
            OSError: if the ledger cannot be read or the cursor not be written.
        """
        with _environment(_ONE_TRY):
            if not self._started:
                self._start()
            self._take()
            if self._behind and self.fold.search is not None:
                self._tell(self.fold.search)

    def abandon(self) -> None:
        """Tell the store that the search's process is gone: what it left running is killed. Raises as `step` does."""
        self.fold.abandon()
        self._behind = True
        self.step()

    def _start(self) -> None:
        """Fold in what an earlier replay told this store, without telling it again."""
        cursor = self._cursor()
        if cursor:
            self._known_runs = {cursor["parent"], *cursor["trials"].values()}
        if cursor and not self._from_start:
            self._take(until=cursor["offset"])
            if self.fold.search is not None:
                mirror = self._open(self.fold.search)
                if mirror.parent.run_id == cursor["parent"] and ledger_id(self.fold.search) == cursor["ledger"]:
                    self.fold.forget_points(mirror.children)
        self._started = True

    def _take(self, until: int | None = None) -> None:
        if not self._ledger.exists():  # the search is still starting
            return
        lines = read_lines(self._ledger, self._offset, until)
        for event in lines.events:
            self.fold.take(event)
        self._offset = lines.offset
        self.damaged += lines.damaged
        self._behind = self._behind or bool(lines.events)

    def _open(self, search: Event) -> Mirror:
        if self._mirror is None:
            client = open_store(self._uri)
            self._mirror = Mirror(client, self._root / "mlruns", search, self._known_runs)
        return self._mirror

    def _tell(self, search: Event) -> None:
        mirror = self._open(search)
        try:
            mirror.update(self.fold)
        except BaseException:  # what arrived is unknown: look the runs up again before the next try
            self._known_runs |= {mirror.parent.run_id, *(held.run_id for held in mirror.children.values())}
            self._mirror = None
            raise
        write_json(self._ledger.with_name(_CURSOR), self._written(search, mirror))
        self._behind = False

    def _written(self, search: Event, mirror: Mirror) -> dict[str, Any]:
        return {
            "store": redact(self._uri),
            "ledger": ledger_id(search),
            "offset": self._offset,
            "parent": mirror.parent.run_id,
            "trials": {str(number): held.run_id for number, held in sorted(mirror.children.items())},
        }

    def _cursor(self) -> dict[str, Any] | None:
        """What was written down about this store; none if nothing was, or about another one."""
        path = self._ledger.with_name(_CURSOR)
        if not path.exists():
            return None
        content: dict[str, Any] = read_json(path, "delete it; the next replay looks its runs up again")
        return content if content["store"] == redact(self._uri) else None


def sync(search_folder: Path, uri: str, alive: bool = False) -> dict[str, int]:
    """Tell the store at `uri` the whole ledger in `search_folder`; returns the number of trials by state.

    Unless the search is `alive`, what its ledger leaves unfinished counts as interrupted.

    Raises:
        TrackingError: if there is no ledger, the store cannot be used, or another replay of this search is running.
    """
    from mlflow import MlflowException

    ledger = search_folder.resolve() / "ledger.jsonl"
    if not ledger.exists():
        raise TrackingError(f"{ledger}: not found; must be the ledger of a search, give the name of one that was run")
    replay = Replay(ledger, uri, ledger.parents[3], from_start=True)
    with exclusive(ledger.parent):
        try:
            replay.step()
            if not alive:
                replay.abandon()
        except (MlflowException, OSError) as error:
            reason = redact(str(error))
        else:
            if replay.fold.search is None:
                raise TrackingError(f"{ledger}: holds no search; it must begin with a line of the event 'search'")
            return dict(Counter(replay.fold.shown_state(trial) for trial in replay.fold.trials.values()))
    raise TrackingError(f"tracking store {redact(uri)}: {reason}; the ledger is intact, run `vaeforge sync` again")


def run_ids(search_folder: Path) -> RunIds:
    """The MLflow runs of the search in `search_folder`, as the last replay wrote them down.

    Raises:
        DataError: if there has been no replay.
    """
    content = read_json(search_folder / _CURSOR, "the search has not been tracked yet; run `vaeforge sync` on it")
    return RunIds(parent=content["parent"], trials={int(number): run for number, run in content["trials"].items()})


@contextmanager
def exclusive(search_folder: Path, patience: float = 5.0) -> Iterator[None]:
    """Be the only replay of this search, waiting up to `patience` seconds for another to end.

    Raises:
        TrackingError: if it does not.
    """
    deadline = time.monotonic() + patience
    with (search_folder / _LOCK).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TrackingError(
                        f"{search_folder / _LOCK}: held by another process that tracks this search; "
                        "it brings the store up to date itself, or wait until the search has ended"
                    ) from None
            time.sleep(0.1)
        yield


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
