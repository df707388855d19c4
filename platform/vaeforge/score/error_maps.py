"""Error maps as files: 16-bit grey PNG, one for each item.

A pixel's value is its squared error in model units, the mean of its channels, times `SCALE`: 65535 stands for 1.0, the
most that there can be for pixels between black and white; what is above is clipped, and counted. The mean of a map over
its pixels, divided by `SCALE`, is the mean squared error of the item to 1/131070.
"""

from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from vaeforge.paths import hash_of
from vaeforge.score.batches import Values

SCALE = 65535
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
