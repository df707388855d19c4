"""Typed configuration tree of one run; `config/loader.py` reads it from files and overrides."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from vaeforge.config.gates import Gates
from vaeforge.config.layouts import layout_named
from vaeforge.config.prepare import Prepare
from vaeforge.config.storage_url import NO_CREDENTIALS, holds_credentials
from vaeforge.errors import ConfigError, nearest
from vaeforge_models.diffusion import DiffusionSettings
from vaeforge_models.families import families
from vaeforge_models.family import Family
from vaeforge_models.schedules import Constant, Schedule
from vaeforge_models.settings import Settings

UploadPatch = Literal["checked", "always", "never"]
Count = Annotated[int, Field(ge=1)]


class Optimizer(Settings):
    """The optimiser and its clipping."""

    name: Literal["adam", "adamw"] = "adam"
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0, description="largest norm of the gradient")] = 1.0
    gradient_limit: Annotated[
        float,
        Field(gt=0, description="norm of the gradient before clipping, above which a training has exploded"),
    ] = 1e8
    schedule: Annotated[
        Literal["constant", "plateau", "cosine", "onecycle"],
        Field(description="of the learning rate; plateau: see training.plateau_…, cosine and onecycle end near 0"),
    ] = "plateau"


class Training(Settings):
    """One training run."""

    epochs: Count = 18
    batch_size: Annotated[int, Field(ge=1, description="samples a step, over all workers together")] = 64
    steps_per_epoch: Annotated[int | None, Field(ge=1, description="none: one pass over the data")] = None
    patience: Annotated[int, Field(ge=1, description="epochs without improvement before stopping early")] = 30
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    plateau_patience: Annotated[int, Field(ge=0)] = 10
    evaluation_samples: Annotated[int, Field(ge=1, description="posterior samples K in val/nelbo")] = 8
    accumulate: Annotated[int, Field(ge=1, description="batches a step; the effective batch is their product")] = 1
    amp: Annotated[Literal["off", "bf16", "fp16"], Field(description="automatic mixed precision")] = "off"
    balance: Annotated[bool, Field(description="draw classes equally often, by weighted sampling")] = False
    normalised_beta: Annotated[
        bool, Field(description="given weights of the rate mean beta * L / D (Higgins et al. 2017)")
    ] = False
    total_correlation: Annotated[
        float, Field(ge=0, description="weight of the total correlation within the rate, 6 for beta-TC; 1 is plain")
    ] = 1.0
    augment: bool = True
    loader_workers: Annotated[
        int, Field(ge=0, le=64, description="threads that read batches ahead, into pinned memory for a GPU; 0: none")
    ] = 0
    compile: Annotated[
        Literal["off", "graph", "auto"],
        Field(description="on one GPU: steps one by one, as captured graphs, or whichever a few steps show faster"),
    ] = "auto"
    tf32: Annotated[
        bool, Field(description="on a GPU: matrix products and convolutions with 10 bits of mantissa, which is faster")
    ] = True
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


Hours = Annotated[float | None, Field(gt=0)]


class Budget(Settings):
    """When a search ends before all its trials have run; whichever comes first."""

    wall_hours: Hours = None
    core_hours: Annotated[Hours, Field(description="in training, times the cores of its worker group")] = None
    gpu_hours: Annotated[Hours, Field(description="in training, times the GPUs of its worker group")] = None
    target: Annotated[float | None, Field(description="of val/nelbo: this value or less")] = None
    stagnation: Annotated[int | None, Field(ge=1, description="trials without an improvement")] = None


class Search(Settings):
    """How a search runs; what it searches is in its space."""

    trials: Count = 16
    workers: Annotated[int, Field(ge=1, description="DDP ranks a trial trains on")] = 1
    hosts: Annotated[int | None, Field(ge=1, description="none: as many as the cluster has room for")] = None
    lanes: Annotated[
        Count | Literal["auto"] | None,
        Field(description="trials a host trains at once, as one model; auto: measured; none: auto on a GPU, else 1"),
    ] = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpus_per_worker: Annotated[float, Field(gt=0, description="a fraction only with one worker")] = 1.0
    keep_checkpoints: Annotated[int, Field(ge=1, description="finished trials whose best checkpoint is kept")] = 3
    attempts: Annotated[int, Field(ge=1, description="starts of a trial without a new epoch before it has failed")] = 3
    hang_seconds: Annotated[
        float, Field(ge=15, description="without a step, after which a worker group is ended and its trial retried")
    ] = 60.0
    repeats: Annotated[int, Field(ge=1, description="runs of each finalist, with different seeds")] = 1
    finalists: Annotated[int, Field(ge=1, description="best trials that are repeated")] = 3
    budget: Budget = Budget()
    deterministic: Annotated[bool, Field(description="one trial at a time, so that resuming changes nothing")] = False
    storage: Annotated[str | None, Field(description="folder or URL for checkpoints that all nodes see")] = None
    host_memory_gb: Annotated[
        float | None, Field(gt=0, description="of a rank; above it the worker group restarts")
    ] = None
    upload_patch: Annotated[
        UploadPatch,
        Field(description="what differs from the commit goes to the registry; checked: unless it may hold secrets"),
    ] = "checked"

    @field_validator("storage")
    @classmethod
    def _no_credentials(cls, value: str | None) -> str | None:
        """Refused before anything repeats the value: what this raises does not."""
        if value is not None and holds_credentials(value):
            raise ValueError(NO_CREDENTIALS)
        return value

    @model_validator(mode="after")
    def _one_host_if_deterministic(self) -> "Search":
        if self.deterministic and (self.hosts or 1) > 1:
            raise ValueError(f"hosts is {self.hosts}, but deterministic searches train one trial at a time: hosts = 1")
        return self

    @model_validator(mode="after")
    def _lanes_of_one_worker(self) -> "Search":
        if self.lanes in (None, "auto", 1):
            return self
        if self.workers > 1:
            raise ValueError(f"lanes is {self.lanes} with {self.workers} workers: lanes train on one, workers = 1")
        if self.deterministic:
            raise ValueError(f"lanes is {self.lanes}, but deterministic searches train one trial at a time: lanes = 1")
        return self

    @model_validator(mode="after")
    def _whole_gpus_for_groups(self) -> "Search":
        if self.workers > 1 and self.gpus_per_worker % 1:
            raise ValueError(
                f"gpus_per_worker is {self.gpus_per_worker} with {self.workers} workers: "
                "NCCL allows one rank per GPU, so a fraction needs workers = 1"
            )
        return self


class Experiment(Settings):
    """One training run, complete: the same experiment on the same data gives the same model."""

    family: str
    preset: str = "sample"
    model: SerializeAsAny[Settings]
    beta: Schedule = Constant()
    optimizer: Optimizer = Optimizer()
    training: Training = Training()
    prepare: SerializeAsAny[Prepare]
    diffusion: DiffusionSettings = DiffusionSettings()
    gates: Gates = Gates()

    @model_validator(mode="before")
    @classmethod
    def _typed_sections(cls, values: Any) -> Any:
        """Validate the sections whose type depends on the family: `model` and `prepare`."""
        if not isinstance(values, dict):
            return values
        typed = dict(values)
        for section, kind in section_types(family_named(values["family"])).items():
            if not isinstance(typed.get(section), Settings):
                typed[section] = kind.model_validate(typed.get(section, {}))
        return typed

    @model_validator(mode="after")
    def _a_weight_to_normalise(self) -> "Experiment":
        if self.training.normalised_beta and not self.beta.given_weights:
            raise ValueError(
                f"training.normalised_beta: got true with beta.schedule {self.beta.schedule}, which finds its weight "
                "in training and has none that is given; must be false, or take another schedule"
            )
        return self

    @property
    def definition(self) -> Family:
        """The family's definition."""
        return family_named(self.family)


class RunConfig(Settings):
    """Everything a step needs: the experiment and how to search around it."""

    experiment: Experiment
    search: Search = Search()


def section_types(family: Family) -> dict[str, type[Settings]]:
    """The settings types of the sections in which families differ."""
    return {"model": family.settings, "prepare": layout_named(family.data).settings}


def family_named(name: str) -> Family:
    """The family called `name`.

    Raises:
        ConfigError: if there is none, naming the nearest.
    """
    known = families()
    if name not in known:
        raise ConfigError(f"family: got {name!r}, must be one of {', '.join(sorted(known))}{nearest(name, known)}")
    return known[name]
