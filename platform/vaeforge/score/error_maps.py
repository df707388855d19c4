"""Error maps as files: 16-bit grey PNG, one for each item.

A pixel's value is its squared error in model units, the mean of its channels, times `SCALE`: 65535 stands for 1.0, the
most that there can be for pixels between black and white; what is above is clipped, and counted. The mean of a map over
its pixels, divided by `SCALE`, is the mean squared error of the item to 1/131070.

Viewers show such maps almost black: beside them, for the eye, goes each picture with its error next to it in colours.
"""

from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.paths import hash_of
from vaeforge.score.batches import Values

SCALE = 65535
WHITE_FROM = 0.5  # of the way between black and white
LONGEST = 250  # characters of a name, all ASCII, for file systems that take 255 bytes with `.png`
KEPT = " ()[]{}+,=@#"  # characters that file systems take, beside those that are always kept


def path_of(folder: Path, item: str) -> Path:
    """Where the map of `item` goes: its name with `.png` after it; characters that could lead elsewhere are escaped.

    A name that is too long so is cut, and ends with the start of its SHA-256.
    """
    parts = [_name(part) for part in item.split("/")]
    return folder.joinpath(*parts[:-1], f"{parts[-1]}.png")


def _name(part: str) -> str:
    if part in ("", ".", ".."):
        return "_"
    name = quote(part, safe=KEPT).replace("%", "_")
    return name if len(name) <= LONGEST else f"{name[:200]}-{hash_of(part)[:32]}"


def write_map(path: Path, error_map: Values) -> int:
    """Write a map [H, W]; how many of its pixels were clipped."""
    clipped = int((error_map > 1).sum())
    pixels = np.clip(np.rint(error_map.astype(np.float64) * SCALE), 0, SCALE).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")
    return clipped


def write_seen(path: Path, picture: Values, error_map: Values) -> None:
    """Write a picture [C, H, W], grey levels from 0 to 255, and to the right of it the colours of its error [H, W]."""
    grey = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    shown = np.moveaxis(grey, 0, -1) if len(grey) == 3 else np.repeat(grey[0, ..., None], 3, axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([shown, _colours(error_map)], axis=1)).save(path, format="PNG")


def _colours(error_map: Values) -> NDArray[np.uint8]:
    """Black, red, yellow, white: how far a pixel is off, white from `WHITE_FROM` on, the same in every picture."""
    far = np.clip(np.sqrt(error_map.astype(np.float64)) / WHITE_FROM, 0, 1)
    channels = [np.clip(3 * far - place, 0, 1) for place in range(3)]
    return np.rint(np.stack(channels, axis=-1) * 255).astype(np.uint8)
