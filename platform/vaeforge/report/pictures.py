"""Pictures of a model's evaluation, as it drew them, small enough to lie in the page."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vaeforge.report.record import Evaluated

DRAWN_ANEW = {"kl_per_dimension", "roc", "pr", "score_areas"}  # by figures of the report, from the same numbers
LARGE = 150_000  # bytes above which a picture is stored with loss
WIDEST = 1600  # pixels
QUALITY = 85
ORDER = ("reconstructions", "error_maps", "classes", "samples", "interpolation", "latents")  # what is looked at first
ABOUT: Mapping[str, tuple[str, str]] = {
    "reconstructions": ("Reconstructions", "Test samples, their reconstructions below, the error below that."),
    "reconstructions_normal": (
        "Reconstructions of normal samples",
        "Normal test samples, their reconstructions below, the error below that: it should be dark.",
    ),
    "reconstructions_anomalous": (
        "Reconstructions of anomalous samples",
        "Anomalous test samples, their reconstructions below, the error below that: bright is unknown to the model.",
    ),
    "error_maps": ("Error maps", "Samples and their squared error per pixel, on one scale for all."),
    "samples": ("Samples of the prior", "Drawn from the prior and decoded: what the model takes the data to be."),
    "samples_real": ("Real samples", "For comparison with the generated ones."),
    "samples_diffusion": ("Samples of latent diffusion", "Latents by the diffusion model, decoded."),
    "interpolation": ("Interpolation", "Between the latents of two test samples, in reading order."),
    "latents": ("Latents", "Test samples in the plane of PCA and t-SNE of their latents, one colour a label."),
    "classes": ("Classes", "One row a class: real samples beside generated ones."),
    "confusion": ("Confusion", "Rows are true classes, columns those that the classifier sees."),
    "scores": ("Scores", "Where the anomaly scores lie; the dashed line is the threshold."),
    "coverage": ("Coverage", "How often intervals hold the true value: on the diagonal they say what they should."),
    "imputation_coverage": ("Coverage of imputation", "The same for values that were hidden."),
    "maps_xy": ("Maps, seen along z", "The data, the reconstruction and the latents at the places of the points."),
    "maps_yz": ("Maps, seen along x", "The same from the side."),
    "imputation_xy": ("Imputation, seen along z", "Hidden points and what is filled in."),
    "imputation_yz": ("Imputation, seen along x", "The same from the side."),
    "grain": ("Grain", "Contrast and width of the grain, of data and of generated images."),
    "spectra": ("Spectra", "Radial power spectra of data, reconstructions and generated images."),
    "correlations": ("Correlations of voxels", "Between the series of all voxels: of the data and of the model."),
    "pearson_voxels": ("Correlation of each voxel", "Between its series and the reconstruction."),
    "time_courses": ("Time courses", "Series of some voxels and their reconstructions."),
    "values": ("Values", "The distribution of all values, of data and of generated series."),
}


@dataclass(frozen=True)
class Picture:
    """One picture: its file's name, title, how to read it, and a data URI."""

    name: str
    title: str
    reading: str
    source: str


def pictures(evaluated: Evaluated | None) -> list[Picture]:
    """The pictures of an evaluation, those that are looked at first first; none without one."""
    found = evaluated.pictures() if evaluated else {}
    names = sorted((name for name in found if name not in DRAWN_ANEW), key=_place)
    return [Picture(name, *_about(name), _data_uri(found[name])) for name in names]


def _place(name: str) -> tuple[int, str]:
    return next((place for place, start in enumerate(ORDER) if name.startswith(start)), len(ORDER)), name


def _about(name: str) -> tuple[str, str]:
    return ABOUT.get(name, (name.replace("_", " ").capitalize(), "As the evaluation drew it."))


def _data_uri(path: Path) -> str:
    content, kind = path.read_bytes(), "png"
    if len(content) > LARGE:
        content, kind = _with_loss(content), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _with_loss(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        shown = image.convert("RGB")
    shown.thumbnail((WIDEST, WIDEST * 4))
    stream = io.BytesIO()
    shown.save(stream, "JPEG", quality=QUALITY, optimize=False)
    return stream.getvalue()
