"""Whether generated images nearly copy training images, seen in two ways.

Shapes: generated images [n, C, H, W] in 0..255.

- `pixels`: images against training images, beside held-out images. Finds what reproduces training images exactly. But a
  decoder's means are smoother than photographs, and a smooth image lies nearer to everything: honest samples already
  come out nearer than held-out images do.
- `reconstructions`: images against the model's reconstructions of training images, beside its reconstructions of
  held-out images. All three are equally smooth, so this sees whether an image is the model's rendering of one certain
  training image. A model that renders held-out images as training images fools it, not the first way.

See `memorisation` for the numbers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.evaluate.inference import WHITE
from vaeforge.evaluate.memorization import Memorisation, Nearest, memorisation, nearest_of_parts
from vaeforge.samples import Samples
from vaeforge_models.vae import VAE

PIXELS, RECONSTRUCTIONS = "pixels", "reconstructions"
HELD_OUT = "held-out images"
AT_ONCE = 256
SAME = 0.5 / 255  # half a grey level: a model that has collapsed renders all images of a class alike
NEAR = 0.5  # of the median distance that held-out samples keep
OFTEN = 0.25  # share of images nearer than all but 1 % of the held-out samples
Images = NDArray[np.uint8] | NDArray[np.floating]
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Copying:
    """Both checks of one set, and each image's nearest training image.

    Attributes:
        checks: by the way of looking; without `reconstructions` where the model renders all held-out images alike.
        space: the last of these ways, which the next two follow.
        distance: [n], root mean square over pixels on the scale 0..1, to that training image.
        neighbour: [n], its index.
    """

    checks: dict[str, Memorisation]
    space: str
    distance: NDArray[np.float64]
    neighbour: NDArray[np.int64]

    @property
    def reasons(self) -> list[str]:
        """Why these images must be taken for near copies; empty where nothing says so."""
        return [reason for check in self.checks.values() for reason in _reasons(check)]


def _reasons(check: Memorisation) -> list[str]:
    found = []
    if check.share_copies > 0:
        found.append(f"{check.share_copies:.1%} equal a training image in every pixel ({check.space})")
    if check.ratio_of_medians < NEAR:
        found.append(
            f"their median distance to the nearest training image is {check.ratio_of_medians:.2f} of what held-out "
            f"images keep, must be >= {NEAR} ({check.space})"
        )
    if check.space == RECONSTRUCTIONS and check.share_closer > max(OFTEN, 2 * check.share_held_out):
        found.append(
            f"{check.share_closer:.0%} are nearer to a training image than all but {check.share_held_out:.0%} of the "
            f"held-out images, must be <= {OFTEN:.0%} ({check.space})"
        )
    return found


def check_copies(model: VAE, sets: Mapping[str, Images], held_out: Samples, train: Samples) -> dict[str, Copying]:
    """Both checks of each set of generated images.

    Raises:
        DataError: if a side is empty, or more than half of the held-out images are in the training set.
    """
    scaled = {name: np.asarray(images, dtype=np.float32) / np.float32(WHITE) for name, images in sets.items()}
    looks: dict[str, Callable[[Samples], Iterator[Values]]] = {
        PIXELS: lambda samples: _values(model, samples),
        RECONSTRUCTIONS: lambda samples: _reconstructed(model, samples),
    }
    seen: dict[str, dict[str, Nearest]] = {}
    for look, values in looks.items():
        nearby = nearest_of_parts({**scaled, HELD_OUT: np.concatenate(list(values(held_out)))}, values(train))
        if look == PIXELS or np.median(nearby[HELD_OUT].distance) > SAME:
            seen[look] = nearby
    return {name: _copying(name, seen, len(train)) for name in sets}


def _copying(name: str, seen: Mapping[str, Mapping[str, Nearest]], train: int) -> Copying:
    checks = {look: memorisation(nearby[name], nearby[HELD_OUT], train, look) for look, nearby in seen.items()}
    last = list(seen)[-1]
    return Copying(checks, last, seen[last][name].distance, seen[last][name].neighbour)


def _values(model: VAE, samples: Samples) -> Iterator[Values]:
    for raw, _ in samples.batches(AT_ONCE):
        yield model.normalise(raw).numpy()


@torch.no_grad()
def _reconstructed(model: VAE, samples: Samples) -> Iterator[Values]:
    for raw, condition in samples.batches(AT_ONCE):
        yield model.reconstruct(raw, condition)[0].numpy()
