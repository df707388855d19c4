"""Layouts of data: everything in which the layouts of files that families learn from differ, an object for each.

A family names its layout. The settings of the section `prepare`, the reader, and what score and serve take from users
follow from it, so that a new layout is one file: a module of `vaeforge.data.layouts`, or an entry point of the group
`vaeforge.layouts` in any other package. What `vaeforge import` makes one from is `vaeforge.importing.formats`.

Nothing here, and no layout, imports torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.prepare import Prepare
from vaeforge.errors import DataError
from vaeforge.plugins import Group, Plugins, PluginSource
from vaeforge.samples import DataSet

PictureMode = Literal["whole", "sample", "patches"]


class Layout(ABC):
    """One layout of data.

    Attributes:
        name: as families name it, and the module or entry point that brings it.
        settings: the type of the section `prepare`.
        picture_modes: what a picture may be to a model when it scores: `whole`, to be made a sample; `sample`, one
            already; `patches`, to be cut into samples. The first is the default of pictures that are not cut. Empty:
            models take tables and arrays, no pictures.
        always_cut: every sample is cut from a larger picture.
        condition_is_class: a condition is a class, one-hot; else it is numbers.
        condition_names: what the numbers of a condition are called, where it has so many.
        unnamed_arrays: what an `.npz` without `x` may hold: grey pictures `images`, or `matrices` with a sample a row.
        map_tables: whether `prepare.reading: maps` makes one channel at all points a sample, so that a table is maps.
        raw_tables: whether `prepare.log1p` says that log(1 + value) is still to be taken of the values in tables.
    """

    name: ClassVar[str]
    settings: ClassVar[type[Prepare]]
    picture_modes: ClassVar[tuple[PictureMode, ...]] = ()
    always_cut: ClassVar[bool] = False
    condition_is_class: ClassVar[bool] = False
    condition_names: ClassVar[tuple[str, ...]] = ()
    unnamed_arrays: ClassVar[Literal["images", "matrices"] | None] = None
    map_tables: ClassVar[bool] = False
    raw_tables: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "whole" in cls.picture_modes and cls.sample_of is Layout.sample_of:
            raise TypeError(f"{cls.__name__}: takes whole pictures (`picture_modes`), so it must have `sample_of`")

    @abstractmethod
    def read(self, folder: Path, settings: Any) -> DataSet:
        """The data below `folder`, divided; `settings` are of the type `self.settings`.

        Raises:
            DataError: naming what cannot be read, occurs twice, or is too little to be divided.
        """

    def fitting_size(self, sizes: Sequence[tuple[int, int]], settings: Any) -> int | None:
        """The size of samples that suits pictures of these widths and heights, at most `settings.size`.

        None where samples are no pictures, so that they have no size.
        """
        return None

    def settings_of_size(self, size: int) -> dict[str, Any]:
        """The settings of `prepare` by which samples get this size."""
        return {"size": size}

    def framing(self, sizes: Sequence[tuple[int, int]], settings: Any) -> str:
        """What a crop and a resize do to pictures of these sizes, as a sentence; empty for nothing to say."""
        return ""

    def sample_of(
        self, picture: NDArray[np.unsignedinteger[Any]], side: int, prepare: Mapping[str, Any]
    ) -> NDArray[np.unsignedinteger[Any]]:
        """A whole RGB picture [H, W, 3] as the sample [C, side, side] that prepare would have made of it, of its type.

        Layouts whose `picture_modes` have `whole` have their own. `prepare` holds the settings by name.

        Raises:
            DataError: if the layout takes no whole pictures.
        """
        raise DataError(f"picture: {self.name} take no whole pictures; send samples, or score arrays or tables")


LAYOUTS: Plugins[Layout] = Plugins(PluginSource("vaeforge.data.layouts", "LAYOUT", Group.LAYOUTS), Layout, "layout")


def layout_names() -> list[str]:
    """The names of all layouts."""
    return LAYOUTS.names()


def layout_named(name: str) -> Layout:
    """The layout called `name`; no other one is loaded.

    Raises:
        ConfigError: if there is none.
    """
    return LAYOUTS.named(name)
