"""Settings of the gates: what a version must show before it may become champion."""

from typing import Annotated

from pydantic import Field, model_validator

from vaeforge_models.settings import Settings

Metric = Annotated[str, Field(pattern="^(test|val)/")]


class Bounds(Settings):
    """What a metric must lie between; at least one of the two."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _something_is_bounded(self) -> "Bounds":
        if self.min is None and self.max is None:
            raise ValueError("needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is {self.min}, must be <= max, which is {self.max}")
        return self


class Gates(Settings):
    """What a version must show before it may become champion."""

    min_active_units: Annotated[int, Field(ge=0)] = 4
    threshold_quantile: Annotated[float, Field(gt=0, lt=1, description="of the scores of validation normals")] = 0.95
    require: dict[Metric, Bounds] = Field(
        default_factory=dict, description="floors and ceilings of test/… and val/… metrics of the evaluation"
    )
    likelihood_margin: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of what the best version ever gained over the training mean, in nats, that may be lost",
        ),
    ] = 0.05
    auroc_margin: Annotated[
        float,
        Field(ge=0, le=1, description="by how much the AUROC may be lower than its, task anomaly only"),
    ] = 0.02
    min_groups: Annotated[int, Field(ge=2, description="independent groups without which nothing is compared")] = 10
    calibration: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="by how much the share of test normals above the threshold may exceed the planned one",
        ),
    ] = 0.15
    max_megabytes: Annotated[float | None, Field(gt=0, description="size of model.onnx, 10^6 bytes")] = None
    max_latency_ms: Annotated[
        float | None, Field(gt=0, description="95th percentile of a single sample, one CPU thread")
    ] = None
