"""Names that resemble `normal`: what is called so may well be normal, and is asked about."""

import re

from vaeforge.data.layouts.pictures.class_folders import is_normal

RESEMBLING = {
    "normal",
    "normals",
    "good",
    "ok",
    "okay",
    "healthy",
    "health",
    "control",
    "controls",
    "negative",
    "clean",
}
DENYING = {"not", "non", "no", "un"}
WORD = re.compile(r"[^\W\d_]+")


def resembles_normal(name: str) -> bool:
    """Whether a class of this name may well hold normal pictures, though it is not called `normal` or `normal-…`."""
    words = {word.casefold() for word in WORD.findall(name)}
    return not is_normal(name) and bool(words & RESEMBLING) and not words & DENYING
