"""Settings of the section `prepare` for the layout `pictures`."""

from typing import Annotated

from pydantic import Field

from vaeforge.config.prepare import PicturePrepare, Side


class PictureSettings(PicturePrepare):
    """Colour images of normal and anomalous things: class folders, or annotated images cut into patches."""

    size: Side = 96
    margin: Annotated[int, Field(ge=0, description="extra pixels of a training patch, room for random crops")] = 32
    stride: Annotated[int, Field(ge=1, description="distance between patches cut from one image")] = 32
