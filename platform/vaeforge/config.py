"""The typed configuration tree. Reading it from files and overrides is `loading.py`."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from vaeforge.errors import ConfigError
from vaeforge_models.families import families
from vaeforge_models.family import Family
from vaeforge_models.schedules import Constant, Schedule
from vaeforge_models.settings import Settings

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Prepare(Settings):
    """How raw images become arrays (pixels)."""

    size: Annotated[int, Field(ge=16, multiple_of=16, description="side of a patch")] = 96
    margin: Annotated[int, Field(ge=0, description="extra pixels of a training patch, room for random crops")] = 32
    stride: Annotated[int, Field(ge=1, description="distance between patches cut from one image")] = 32
    validation: Share = 0.2
    test: Share = 0.3
    seed: Annotated[int, Field(ge=0)] = 0


class Optimizer(Settings):
    """The optimiser and its clipping."""

    name: Literal["adam", "adamw"] = "adam"
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0, description="largest norm of the gradient")] = 1.0
    schedule: Annotated[
        Literal["constant", "plateau", "cosine"],
        Field(description="of the learning rate; plateau: see training.plateau_…, cosine: down to 0 at the end"),
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
    augment: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class Gates(Settings):
    """What a version must show before it may become champion."""

    min_active_units: Annotated[int, Field(ge=0)] = 4
    threshold_quantile: Annotated[float, Field(gt=0, lt=1, description="of the scores of validation normals")] = 0.95


class Search(Settings):
    """How a search runs; what it searches is in its space."""

    trials: Count = 16
    workers: Annotated[int, Field(ge=1, description="DDP ranks a trial trains on")] = 1
    hosts: Annotated[int | None, Field(ge=1, description="none: as many as the cluster has room for")] = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpus_per_worker: Annotated[float, Field(gt=0, description="a fraction only with one worker")] = 1.0
    keep_checkpoints: Annotated[int, Field(ge=1, description="finished trials whose best checkpoint is kept")] = 3
    attempts: Annotated[int, Field(ge=1, description="starts of a trial before it counts as crashed")] = 3

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
    prepare: Prepare = Prepare()
    gates: Gates = Gates()

    @model_validator(mode="before")
    @classmethod
    def _typed_model(cls, values: Any) -> Any:
        """Validate the `model` section with the family's own settings type."""
        if isinstance(values, dict) and not isinstance(values.get("model"), Settings):
            settings = families()[values["family"]].settings
            return {**values, "model": settings.model_validate(values.get("model", {}))}
        return values

    @property
    def definition(self) -> Family:
        """The family's definition."""
        return family_named(self.family)


class Settled(Settings):
    """Everything a step needs: the experiment and how to search around it."""

    experiment: Experiment
    search: Search = Search()


def family_named(name: str) -> Family:
    """The family called `name`.

    Raises:
        ConfigError: if there is none, naming the nearest.
    """
    known = families()
    if name not in known:
        raise ConfigError(f"family: got {name!r}, must be one of {', '.join(sorted(known))}{nearest(name, known)}")
    return known[name]


def nearest(given: str, allowed: Any) -> str:
    """`; did you mean X?` where something allowed is close to `given`, else an empty string."""
    import difflib

    close = difflib.get_close_matches(given, [str(name) for name in allowed], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
