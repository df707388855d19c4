"""Units of maps, and their arrays for files."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge_models.vae import VAE

Floats = NDArray[np.float64]


@torch.no_grad()
def in_raw_units(model: VAE, values: Floats) -> Floats:
    """Values [N, E] in the units of the model as those of the data."""
    tensor = torch.from_numpy(values.astype(np.float32)).reshape(-1, *model.event_shape)
    return model.denormalise(tensor).flatten(1).double().numpy()


def spread_in_raw_units(model: VAE, deviations: Floats) -> Floats:
    """Standard deviations [N, E] in the units of the model as those of the data: the shift falls out."""
    return in_raw_units(model, deviations) - in_raw_units(model, np.zeros_like(deviations))


def compact(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays with floats in 32 bits."""
    return {name: a.astype(np.float32) if np.issubdtype(a.dtype, np.floating) else a for name, a in arrays.items()}
