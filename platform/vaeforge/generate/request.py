"""Request of the step `generate`: how many images of which classes, and where their latents come from."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """What is generated.

    Attributes:
        source: `prior`, `aggregate` (the class's posterior) or `image`.
        label: a class by its name, or `all`.
        count: images of each class.
        seed: of latents and aspect ratios.
        size: `square` as the model makes them, or `original`: aspect ratios drawn from the class's training images.
        image: which training image of the class for the source `image`; none draws one by the seed.
    """

    source: Literal["prior", "aggregate", "image"] = "prior"
    label: str = "all"
    count: int = 16
    seed: int = 0
    size: Literal["square", "original"] = "square"
    image: int | None = None
