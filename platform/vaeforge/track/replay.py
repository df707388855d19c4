"""Replay of a search's ledger into MLflow, any number of times, from wherever the last one stopped.

`artifacts/searches/<name>/tracking.json` holds how far the store has been told and the ids of its runs. It is written
after the store; should a crash fall between the two, the next replay tells the same again, which changes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from filelock import FileLock, Timeout
from pydantic import Field

from vaeforge.errors import TrackingError
from vaeforge.ledger.events import SearchHeader
from vaeforge.ledger.file import LedgerReader
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project, write_json
from vaeforge.records import read_record, to_json
from vaeforge.track.mlflow_writer import MlflowWriter
from vaeforge.track.store import absolute_uri, one_try, open_store, redact
from vaeforge.track.tracked_search import TrackedSearch

_CURSOR, _LOCK = "tracking.json", "tracking.lock"


@dataclass(frozen=True)
class RunIds:
    """The MLflow runs of a search: its parent's, and its trials' by number."""

    parent: str
    trials: Mapping[int, str]


@dataclass(frozen=True)
class Cursor:
    """How far a store has been told a ledger, as `tracking.json` holds it.

    Attributes:
        store: its URI, without a password.
        ledger: the identity of the search (`SearchHeader.identity`).
        offset: the byte after the last line that was told.
    """

    store: str
    ledger: str
    offset: int
    runs: RunIds

    @classmethod
    def read(cls, search_folder: Path, remedy: str) -> "Cursor":
        """The one of a search.

        Raises:
            DataError: if there has been no replay; `remedy` says what to do about it.
        """
        path = search_folder / _CURSOR
        held = read_record(_CursorFile, path, "record of what a store has been told", remedy)
        return cls(held.store, held.ledger, held.offset, RunIds(held.parent, held.trials))

    def write(self, search_folder: Path) -> None:
        """Write it beside the ledger."""
        trials = dict(sorted(self.runs.trials.items()))
        file = _CursorFile(self.store, self.ledger, self.offset, self.runs.parent, trials)
        write_json(search_folder / _CURSOR, to_json(file))


@dataclass(frozen=True)
class _CursorFile:
    """A cursor as its file has it."""

    store: str
    ledger: str
    offset: Annotated[int, Field(ge=0)]
    parent: str
    trials: Mapping[int, str]


class Replay:
    """The replay of one ledger into the store at `uri`, of the project at `root`.

    `from_start` tells the store everything again, whatever was written down about what it has been told.
    """

    def __init__(self, ledger: Path, uri: str, root: Path, from_start: bool = False):
        self.search = TrackedSearch()
        self._ledger = LedgerReader(ledger)
        self._uri = absolute_uri(uri, root)
        self._root = root
        self._from_start = from_start
        self._started = False
        self._behind = False
        self._writer: MlflowWriter | None = None
        self._known_runs: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether the store has been told that the search's newest session is over."""
        return self.search.over and not self._behind

    def step(self) -> None:
        """Tell the store what the ledger says that it has not been told. Raising half way, it can be called again.

        Raises:
            TrackingError: if the store cannot be opened.
            MlflowException: if it refuses or does not answer.
            OSError: if the ledger cannot be read or the cursor not be written.
        """
        with one_try():
            if not self._started:
                self._start()
            self._take()
            if self._behind and self.search.header is not None:
                self._tell(self.search.header)

    def abandon(self) -> None:
        """Tell the store that the search's process is gone: what it left running is killed. Raises as `step` does."""
        self.search.abandon()
        self._behind = True
        self.step()

    def _start(self) -> None:
        """Take in what an earlier replay told this store, without telling it again."""
        cursor = self._cursor()
        if cursor:
            self._known_runs = {cursor.runs.parent, *cursor.runs.trials.values()}
        if cursor and not self._from_start:
            self._take(until=cursor.offset)
            if self.search.header is not None:
                writer = self._open(self.search.header)
                if writer.parent.run_id == cursor.runs.parent and self.search.header.identity == cursor.ledger:
                    self.search.forget_points(writer.children)
        self._started = True

    def _take(self, until: int | None = None) -> None:
        if not self._ledger.path.exists():  # the search is still starting
            return
        before = self._ledger.offset
        for event in self._ledger.read(until):
            self.search.take(event)
        self._behind = self._behind or self._ledger.offset > before

    def _open(self, header: SearchHeader) -> MlflowWriter:
        if self._writer is None:
            client = open_store(self._uri)
            self._writer = MlflowWriter(client, self._root / "mlruns", header, self._known_runs)
        return self._writer

    def _tell(self, header: SearchHeader) -> None:
        writer = self._open(header)
        try:
            writer.update(self.search)
        except BaseException:  # what arrived is unknown: look the runs up again before the next try
            self._known_runs |= {writer.parent.run_id, *(run.run_id for run in writer.children.values())}
            self._writer = None
            raise
        runs = RunIds(writer.parent.run_id, {number: run.run_id for number, run in writer.children.items()})
        cursor = Cursor(redact(self._uri), header.identity, self._ledger.offset, runs)
        cursor.write(self._ledger.path.parent)
        self._behind = False

    def _cursor(self) -> Cursor | None:
        """What was written down about this store; none if nothing was, or about another one."""
        folder = self._ledger.path.parent
        if not (folder / _CURSOR).exists():
            return None
        cursor = Cursor.read(folder, "delete it; the next replay looks its runs up again")
        return cursor if cursor.store == redact(self._uri) else None


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
            if replay.search.header is None:
                raise TrackingError(f"{ledger}: holds no search; it must begin with a line of the event 'search'")
            return dict(Counter(map(replay.search.shown_state, replay.search.trials.values())))
    raise TrackingError(f"tracking store {redact(uri)}: {reason}; the ledger is intact, run `vaeforge sync` again")


def run_ids(search_folder: Path) -> RunIds:
    """The MLflow runs of the search in `search_folder`, as the last replay wrote them down.

    Raises:
        DataError: if there has been no replay.
    """
    return Cursor.read(search_folder, "the search has not been tracked yet; run `vaeforge sync` on it").runs


def runs_told(search_folder: Path, uri: str) -> RunIds | None:
    """The same in the store at `uri`; none if that has been told nothing of the search."""
    if not (search_folder / _CURSOR).exists():
        return None
    cursor = Cursor.read(search_folder, "delete it; the next replay looks its runs up again")
    return cursor.runs if cursor.store == redact(uri) else None


def with_runs(project: Project, manifest: TrainedModelManifest, uri: str) -> TrainedModelManifest:
    """The manifest with its runs in the store at `uri`, where that was told of the search only after it had ended."""
    lineage = manifest.lineage
    told = None if lineage.mlflow.run_id or not lineage.search else runs_told(project.search(lineage.search), uri)
    if told is None or lineage.trial is None or lineage.trial not in told.trials:
        return manifest
    known = replace(lineage.mlflow, run_id=told.trials[lineage.trial], parent_run_id=told.parent)
    return replace(manifest, lineage=replace(lineage, mlflow=known))


@contextmanager
def exclusive(search_folder: Path, patience: float = 5.0) -> Iterator[None]:
    """Be the only replay of this search, waiting up to `patience` seconds for another to end.

    Raises:
        TrackingError: if it does not.
    """
    lock = FileLock(search_folder / _LOCK, fallback_to_soft=False)
    try:
        lock.acquire(timeout=patience, poll_interval=0.1)
    except Timeout:
        raise TrackingError(
            f"{search_folder / _LOCK}: held by another process that tracks this search; "
            "it brings the store up to date itself, or wait until the search has ended"
        ) from None
    try:
        yield
    finally:
        lock.release()
