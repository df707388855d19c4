"""Settings of the section `prepare` that every layout has; a layout's own are in its file, see `config/layouts.py`."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from vaeforge_models.settings import Settings

AUTO: Literal["auto"] = "auto"
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


class PicturePrepare(Prepare):
    """What layouts of pictures have besides."""

    white: Annotated[
        float | None,
        Field(description="value that is white in pictures of more than 8 bits; none: as imported, else found"),
    ] = None
    black: Annotated[float, Field(description="value that becomes 0 in them, given with `white`")] = 0.0
    depth: Annotated[
        Literal["auto", 8, 16],
        Field(description="bits of a sample's value; auto: as imported (16 where pictures hold more than 8), else 8"),
    ] = AUTO

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What was not given is left out, so that settings from before these were there still say the same."""
        content: dict[str, Any] = dump(self)
        unsaid = {"white", "black"} if self.white is None else set()
        unsaid |= {"depth"} if self.depth == AUTO else set()
        return {name: value for name, value in content.items() if name not in unsaid}

    @model_validator(mode="after")
    def _white_above_black(self) -> "PicturePrepare":
        if self.white is None and self.black:
            raise ValueError(f"black {self.black} without white; give both")
        if self.white is not None and self.white <= self.black:
            raise ValueError(f"white {self.white} must be above black {self.black}")
        return self
