"""The settings of the section `prepare`, one type for each layout of data that families learn from."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vaeforge_models.family import DataKind
from vaeforge_models.settings import Settings

Share = Annotated[float, Field(gt=0, lt=1)]
Side = Annotated[int, Field(ge=16, multiple_of=16, description="pixels")]


class Prepare(Settings):
    """How files become arrays and arrays are divided; what every layout has."""

    validation: Share = 0.2
    test: Share = 0.3
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _something_to_train_on(self) -> "Prepare":
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave nothing to train on; their sum must be < 1"
            )
        return self


class Pictures(Prepare):
    """Colour images of normal and anomalous things: class folders, or annotated images cut into patches."""

    size: Side = 96
    margin: Annotated[int, Field(ge=0, description="extra pixels of a training patch, room for random crops")] = 32
    stride: Annotated[int, Field(ge=1, description="distance between patches cut from one image")] = 32


class Classes(Prepare):
    """Grey images in a folder per class."""

    size: Side = 224
    fit: Annotated[
        Literal["pad", "squash"], Field(description="to the square: keep the aspect ratio by padding, or distort")
    ] = "pad"


class Frames(Prepare):
    """Grey images of one texture, cut into patches; divided by column, so that no place is in two parts."""

    size: Side = 96
    stride: Annotated[int, Field(ge=1, description="distance between patches cut from one image")] = 32
    gap: Annotated[
        int,
        Field(ge=0, description="columns left out between parts; what is seen must not move further between frames"),
    ] = 48


class Series(Prepare):
    """Time series, a matrix [timepoints, voxels] per subject."""

    split: Annotated[Literal["auto", "time", "subject"], Field(description="auto: by subject from five on")] = "auto"
    block: Annotated[int, Field(ge=1, description="time points of a block, the unit of splits and intervals")] = 20
    gap: Annotated[int, Field(ge=0, description="time points left out between blocks of different parts")] = 5

    @model_validator(mode="after")
    def _something_within_gaps(self) -> "Series":
        if self.gap >= self.block:
            raise ValueError(f"gap {self.gap} can leave nothing of a block of {self.block}; it must be less than block")
        return self


class Points(Prepare):
    """Maps of several channels over points in space."""

    reading: Annotated[
        Literal["points", "maps"],
        Field(description="a sample is the channels at one point, or one channel at all points"),
    ] = "points"
    blocks: Annotated[int, Field(ge=2, description="blocks along each axis, the unit of splits and intervals")] = 6
    sections: Annotated[bool, Field(description="hold out whole sections instead of blocks")] = False
    log1p: Annotated[bool, Field(description="take log(1 + value) first")] = False
    scaling: Annotated[
        Literal["standard", "minmax"], Field(description="of each channel, fitted on train; of each map, by itself")
    ] = "standard"

    @model_validator(mode="after")
    def _sections_divide_points(self) -> "Points":
        if self.sections and self.reading == "maps":
            raise ValueError("sections: true divides points, reading: maps divides channels; set one of them otherwise")
        return self


PREPARE: dict[DataKind, type[Prepare]] = {
    "pictures": Pictures,
    "classes": Classes,
    "frames": Frames,
    "series": Series,
    "points": Points,
}
