"""Events of a search's ledger: one frozen record for each kind of line, and the only place that knows their JSON keys.

The table of docs/architecture.md says what each kind means. Keys that a reader does not know are ignored; those
that an older ledger lacks have defaults, but for the few without which a line says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import TypeAdapter

from vaeforge.data.data_sets import DataSetName
from vaeforge.data.data_source import DataSource
from vaeforge.paths import hash_of
from vaeforge.provenance import Machine, PatchedGitState
from vaeforge.records import OPTIONAL, to_json
from vaeforge.training.checkpoint_files import Checkpoint

Params: TypeAlias = dict[str, Any]
Metrics: TypeAlias = Mapping[str, float | None]

# why a trial failed for reasons outside it: another attempt, later or elsewhere, may end otherwise
OUTSIDE_CAUSES = ("disk", "checkpoint", "lost", "hang")
FINAL_OUTCOMES = ("completed", "early_stopped")
UNSOUND_OUTCOMES = ("nan", "exploded")  # of an epoch whose state is not kept; an earlier one may count
ENDED_STATES = (*FINAL_OUTCOMES, "stopped", "failed")
IDENTITY_CHARACTERS = 32


@dataclass(frozen=True, kw_only=True)
class LedgerEvent:
    """One line of a ledger; `time` in unix seconds is set when it is written."""

    kind: ClassVar[str]
    time: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The line's content, keys in the order in which they are written."""
        return {"event": self.kind, "time": self.time, **to_json(self, finite=True)}  # `time` keeps this place

    @classmethod
    def arranged(cls, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """A line's content as the fields of this class hold it."""
        return content


@dataclass(frozen=True, kw_only=True)
class SearchHeader(LedgerEvent):
    """What is searched, and everything that decides what comes of it.

    Attributes:
        space, settings: as they were given; of any version, so that they are parsed by whoever needs them.
        source: what the data say of themselves, see `data/data_source.py`.
        data_set: which one of the family; none for files without a name, and in older ledgers.
        git: the project's commit and what differed from it.
        machine: the driver's processor and libraries.
        trials: how many were asked for at the start.
        checkpoints: where they lie; none: beside the ledger.
        project_run_id: the run that `mlflow run` made for this search.
        identity: tells the search from another of its name in the same MLflow store: the start of the hash of its line
            as it was written, whatever its keys. Empty until it has been written.
    """

    kind: ClassVar[str] = "search"
    name: str
    family: str
    experiment_name: str | None = None
    space: dict[str, Any]
    space_source: str = "ledger"
    settings: dict[str, Any] = field(default_factory=dict)
    data_identity: str = ""
    data_hash: str | None = None
    data_source: str = ""
    source: DataSource | None = None
    data_set: DataSetName | None = field(default=None, metadata=OPTIONAL)
    git: PatchedGitState | None = None
    lock_sha256: str | None = None
    machine: Machine | None = None
    seed: int | None = None
    trials: int | None = None
    checkpoints: str | None = None
    configuration_hash: str | None = None
    code_hash: str | None = None
    command: str | None = None
    project_run_id: str | None = None
    identity: str = ""

    def to_json(self) -> dict[str, Any]:
        content = super().to_json()
        del content["identity"]
        return content

    @classmethod
    def arranged(cls, content: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**content, "identity": hash_of(content)[:IDENTITY_CHARACTERS]}


@dataclass(frozen=True, kw_only=True)
class SearchResumed(LedgerEvent):
    """A later session continues with `trials` trials; leases of the earlier one are void."""

    kind: ClassVar[str] = "resumed"
    project_run_id: str | None = None
    trials: int | None = None


@dataclass(frozen=True)
class TransferredTrial:
    """A trial of another search on the parameters that both have.

    Attributes:
        params: flat parameters.
        state, epoch: how it ended; none and 0 where only the point is used.
        values: of each goal; none where one is missing.
    """

    params: Params
    state: str | None = None
    values: tuple[float, ...] | None = None
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class WarmStarted(LedgerEvent):
    """What another search contributes.

    Attributes:
        source: its name.
        use: whether the sampler is told the trials' values, or their points are tried first.
        left_out: how many of its trials are of no use here.
    """

    kind: ClassVar[str] = "informed"
    source: str
    use: Literal["values", "points"]
    why: str = ""
    trials: tuple[TransferredTrial, ...] = ()
    left_out: int = 0

    def to_json(self) -> dict[str, Any]:
        points = [{"params": one.params} for one in self.trials]
        whole = [
            {"number": None, **to_json(one, finite=True)} for one in self.trials
        ]  # a number of that search means nothing here
        return super().to_json() | {"trials": points if self.use == "points" else whole}


@dataclass(frozen=True)
class WorkerProcess:
    """One rank of a worker group.

    Attributes:
        started: when the process was created, in unix seconds: ids are reused.
        node: Ray's id of the node.
        machine: processor and libraries, see `provenance.machine`.
    """

    pid: int
    started: float = 0.0
    node: str = ""
    machine: Machine | None = None


@dataclass(frozen=True, kw_only=True)
class WorkersRegistered(LedgerEvent):
    """A worker group's new generation."""

    kind: ClassVar[str] = "registered"
    host: int
    generation: int
    processes: tuple[WorkerProcess, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrialSubmitted(LedgerEvent):
    """A trial: flat parameters, the group it is compared in, and the trial that it repeats, if any."""

    kind: ClassVar[str] = "submitted"
    trial: int
    params: Params
    group: str = ""
    repeat_of: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrialLeased(LedgerEvent):
    """An attempt at a trial by a worker group's generation."""

    kind: ClassVar[str] = "leased"
    trial: int
    attempt: int
    host: int = 0
    generation: int = 0


@dataclass(frozen=True, kw_only=True)
class EpochReported(LedgerEvent):
    """An epoch of a trial.

    Attributes:
        value: the trial's number at this point; none where there is none. After an epoch that was not sound that of its
            best epoch, if one counts.
        outcome: running, completed, early_stopped, nan (a number is not finite) or exploded (a gradient too large).
        seconds: inside training.
        checkpoint, best: the states after this epoch and after the best one so far.
        core_seconds, gpu_seconds: what the epoch cost.
        wall_seconds: of all sessions until then, monotonic clock.
        beside: the trials that were trained as one model with this one in this epoch; seconds and costs are its share.
    """

    kind: ClassVar[str] = "reported"
    trial: int
    attempt: int = 1
    epoch: int
    metrics: Metrics
    value: float | None = None
    outcome: str = "running"
    seconds: float = 0.0
    checkpoint: Checkpoint | None = None
    best: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    core_seconds: float = 0.0
    gpu_seconds: float = 0.0
    wall_seconds: float | None = field(default=None, metadata=OPTIONAL)
    beside: tuple[int, ...] | None = field(default=None, metadata=OPTIONAL)

    @property
    def lanes(self) -> int:
        """How many trials this epoch was trained with as one model, this one counted."""
        return 1 + len(self.beside or ())


@dataclass(frozen=True)
class InheritedState:
    """What a trial continues from with another one's weights: copies of the donor's states, and its best metrics."""

    checkpoint: Checkpoint
    best: Checkpoint | None
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class TrialDecided(LedgerEvent):
    """What a scheduler decided about a trial after an epoch.

    Attributes:
        action: go, stop or inherit.
        value: the trial's value then.
        needed: what it would have needed to continue; none where nothing was compared.
        donor: the trial whose weights it continues with, with `params` from then on (`inherit` only).
        inherited: the donor's state (`inherit` only).
    """

    kind: ClassVar[str] = "decided"
    trial: int
    epoch: int
    action: str
    value: float
    needed: float | None = None
    why: str = ""
    donor: int | None = None
    params: Params | None = None
    inherited: InheritedState | None = None

    def to_json(self) -> dict[str, Any]:
        content = super().to_json()
        return content | (content.pop("inherited") or {})

    @classmethod
    def arranged(cls, content: Mapping[str, Any]) -> Mapping[str, Any]:
        state = {one.name: content.get(one.name) for one in fields(InheritedState)}
        return {**content, "inherited": state if content.get("action") == "inherit" else None}


@dataclass(frozen=True, kw_only=True)
class AttemptCrashed(LedgerEvent):
    """An attempt that failed: lost, hang, oom, disk, checkpoint or crash; with `most` nobody is at fault."""

    kind: ClassVar[str] = "crashed"
    trial: int
    attempt: int = 1
    cause: str
    traceback: str = ""
    most: int | None = field(default=None, metadata=OPTIONAL)  # lanes of its group from then on; memory ran out


@dataclass(frozen=True, kw_only=True)
class TrialFinished(LedgerEvent):
    """The end of a trial: completed, early_stopped, stopped or failed; the only one, unless it is tried again."""

    kind: ClassVar[str] = "finished"
    trial: int
    state: str
    cause: str | None = None
    value: float | None = None
    epoch: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrialRetried(LedgerEvent):
    """A trial that had failed is tried again from its beginning, as if it had just been submitted.

    Attributes:
        cause: what it had failed of.
    """

    kind: ClassVar[str] = "retried"
    trial: int
    cause: str | None = None


@dataclass(frozen=True, kw_only=True)
class SearchInterrupted(LedgerEvent):
    """A session ended by a signal, on request, or for a problem.

    Attributes:
        signal: none for a problem.
        seconds: since the session began.
        problem: what kept the search from going on.
    """

    kind: ClassVar[str] = "interrupted"
    signal: str = ""
    seconds: float | None = field(default=None, metadata=OPTIONAL)
    problem: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class SearchExtent:
    """How far a search was asked to go; the budget's limits by name."""

    trials: int
    repeats: int
    finalists: int
    budget: dict[str, int | float | None]


@dataclass(frozen=True, kw_only=True)
class SearchEnded(LedgerEvent):
    """A session ended by itself: why, after how many seconds, and its best trial."""

    kind: ClassVar[str] = "ended"
    reason: str
    asked: SearchExtent | None = None
    seconds: float | None = None
    trials: int | None = None
    best: int | None = None
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class UnknownEvent(LedgerEvent):
    """A line of a kind that a later version writes."""

    content: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return dict(self.content)


TrialEvent: TypeAlias = (
    TrialSubmitted | TrialLeased | EpochReported | TrialDecided | AttemptCrashed | TrialFinished | TrialRetried
)
KINDS: dict[str, type[LedgerEvent]] = {
    one.kind: one
    for one in (
        SearchHeader,
        SearchResumed,
        WarmStarted,
        WorkersRegistered,
        TrialSubmitted,
        TrialLeased,
        EpochReported,
        TrialDecided,
        AttemptCrashed,
        TrialFinished,
        TrialRetried,
        SearchInterrupted,
        SearchEnded,
    )
}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {kind: TypeAdapter(one) for kind, one in KINDS.items()}


def from_json(content: Any) -> LedgerEvent:
    """The event in a parsed line.

    Raises:
        ValueError: if it is no event, or lacks what an event of its kind says.
    """
    if not isinstance(content, dict) or not isinstance(content.get("time"), int | float):
        raise ValueError(f"no event with a time: {str(content)[:100]}")
    kind = str(content.get("event"))
    if kind not in KINDS:
        return UnknownEvent(time=content["time"], content=content)
    event: LedgerEvent = _ADAPTERS[kind].validate_python(KINDS[kind].arranged(content))
    return event
