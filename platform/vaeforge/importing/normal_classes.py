"""Normal classes of pictures: told with counts, and asked about where a name only resembles `normal`.

`normal` and `normal-…` are normal. Names such as `good`, `healthy` or `normal_pylorus` most often mean the same, but a
class that is taken for anomalous without a word spoils training, threshold and test; so nothing is written before
`--normal` has said which classes are meant.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from vaeforge.data.layouts.pictures.class_folders import is_normal
from vaeforge.errors import QuestionError
from vaeforge.importing.parsed_source import ImportLog

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


def ask_about_normal(source: Path, labels: Iterable[str], chosen: Collection[str]) -> None:
    """Ask which classes are normal where names leave it open and `chosen`, what `--normal` names, does not say.

    Raises:
        QuestionError: naming the classes with their counts, and both answers.
    """
    counts = Counter(labels)
    unclear = sorted(name for name in counts if resembles_normal(name))
    if not unclear or chosen:
        return
    known = sorted(name for name in counts if is_normal(name))
    asked = ", ".join(f"{name} ({counts[name]})" for name in unclear)
    certain = f", as {', '.join(known)} are" if known else ""
    no = f"`--normal {','.join(known)}` if they are anomalous" if known else "rename them if they are anomalous"
    raise QuestionError(
        f"{source}: are the pictures of {asked} normal{certain}? By their names they count as anomalous: `normal` and "
        f"`normal-…` alone are normal; give `--normal {','.join([*known, *unclear])}` if they are, {no}; "
        "nothing was written"
    )


def tell_normal(labels: Iterable[str], log: ImportLog) -> None:
    """Note which classes count as normal and which as anomalous, with their counts."""
    counts = Counter(labels)

    def listed(normal: bool) -> str:
        return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()) if is_normal(name) == normal)

    log.notes.append(f"normal: {listed(True)}; anomalous: {listed(False)}")
