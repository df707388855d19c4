"""What a model card says of the data behind a model: where they lie, how many, under which licence."""

from pathlib import Path
from typing import Any

from vaeforge.data.prepared import Prepared
from vaeforge.paths import Project

SAMPLES = "vaeforge.data.samples"  # what made the data sets that the project carries; each one's attribution names it
LICENCE, ATTRIBUTION = "LICENSE", "ATTRIBUTION.md"


def sources_of(project: Project, prepared: Prepared, family: str) -> dict[str, Any]:
    """`source`, `counts`, `quarantined`, `licence` (its first line), `attribution` and `shipped_sample`.

    What nobody wrote down is null. `shipped_sample` says whether the data are a sample that the project carries.
    """
    folder = project.data(family)
    texts = [_text(path) for path in sorted(folder.rglob(ATTRIBUTION))]
    licences = [_title(_text(path)) for path in sorted(folder.rglob(LICENCE))]
    manifest = prepared.manifest
    return {
        "source": manifest.get("data_source"),
        "counts": manifest.get("counts") or _counted(prepared),
        "licence": "; ".join(dict.fromkeys(licences)) or None,
        "attribution": "\n\n".join(texts).strip() or None,
        "shipped_sample": bool(texts) and all(SAMPLES in text for text in texts),
    }


def _counted(prepared: Prepared) -> dict[str, int]:
    return {part: len(getattr(prepared, part)) for part in ("train", "validation", "test")}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _title(licence: str) -> str:
    """The first line that is not empty."""
    return next((line.strip() for line in licence.splitlines() if line.strip()), "an empty file")
