"""The generate step: a trained model in, images of chosen classes out, with a check for copies, its manifest last.

Shapes: n images [n, 1, S, S] in 0..255; files are grey PNG.
"""

import io
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.config.experiment import family_named
from vaeforge.config.layouts import layout_named
from vaeforge.csv_cells import csv_text
from vaeforge.errors import ConfigError, DataError, nearest
from vaeforge.evaluation.extractor import rounded
from vaeforge.evaluation.images import decoded
from vaeforge.evaluation.latent_posteriors import class_names, conditions_of, file_names, labels_of, library_of
from vaeforge.evaluation.memorization import Copying, check_copies
from vaeforge.generate.latents import NOT_AN_IMAGE, Drawn, draw
from vaeforge.generate.manifest import STEP, GenerationManifest, write_generation
from vaeforge.generate.request import GenerateRequest
from vaeforge.manifests.files import MANIFEST, hashes_of, listed_files, relative_to
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project, write_atomically, write_bytes, write_json
from vaeforge.progress import part
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel, load_trained_model

ALL = "all"
GENERATED = "generated"
Size = Literal["square", "original"]
Images = NDArray[np.uint8]
Integers = NDArray[np.int64]


def generate_run(
    project: Project, manifest: TrainedModelManifest, request: GenerateRequest, folder: Path
) -> GenerationManifest:
    """Generate images of a class, or of each class, into `folder`.

    Writes images/<class>/<class>_<number>.png, latents.npz, memorisation.json and .csv, and manifest.json last. Its
    `warnings` say why the images must be taken for near copies of training images, and are empty where nothing does.

    Args:
        project: where the model's files are.
        manifest: of the model.
        request: which images.
        folder: new, empty, or of an earlier generate step, whose files are replaced.

    Raises:
        ConfigError: if the request is not allowed, or the family has no classes.
        DataError: if `folder` holds other files; else see `load_trained_model`.
        CheckpointError: see `load_trained_model`.
    """
    _require_arguments(manifest.family, request)
    trained = load_trained_model(project, manifest)
    names = class_names(trained.prepared)
    wanted = _wanted(request.label, names)
    require_room(folder)
    library = library_of(trained.model, trained.prepared.train)
    drawn = draw(library, request.source, np.repeat(wanted, request.count), request.seed, request.image)
    raw = decoded(trained.model, drawn.z, conditions_of(drawn.labels, trained.prepared.train.condition.shape[1]))
    images = rounded(raw)
    with part("comparing with the training images"):
        check = _checked(trained, images, wanted)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{STEP}-") as name:
        staging = Path(name)
        files = _write_images(staging, images, drawn, trained, request)
        _write_latents(staging, drawn, names)
        _write_check(staging, check, drawn, files, names)
        _replace(folder, staging)
    written = GenerationManifest(
        lineage=manifest.lineage,
        asked=request,
        images=len(images),
        warnings=tuple(_warnings(check)),
        folder=relative_to(project, folder),
        files=hashes_of(folder),
    )
    write_generation(folder, written)
    return written


def _require_arguments(family: str, request: GenerateRequest) -> None:
    problems = []
    if not layout_named(family_named(family).data).condition_is_class:
        problems.append(f"family: got {family}, must be one that learns from images in classes; take another model")
    if request.count < 1:
        problems.append(f"count: got {request.count}, must be >= 1")
    if request.size not in get_args(Size):
        problems.append(f"size: got {request.size!r}, must be one of {', '.join(get_args(Size))}")
    if problems:
        raise ConfigError(problems)


def _wanted(label: str, names: tuple[str, ...]) -> Integers:
    if label == ALL and ALL not in names:
        return np.arange(len(names))
    if label not in names:
        allowed = ", ".join([ALL, *names])
        raise ConfigError(f"class: got {label!r}, must be one of {allowed}{nearest(label, [ALL, *names])}")
    return np.array([names.index(label)])


def require_room(folder: Path) -> None:
    """Refuse a folder with files that no generate step wrote.

    Raises:
        DataError: if there are any.
    """
    own = {*_listed(folder), MANIFEST} if _listed(folder) else set()
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    left = sorted(found - own)
    if left:
        raise DataError(
            f"{folder}: holds {len(left)} file(s) that no generate step lists ({', '.join(left[:3])}), must be "
            "empty or of an earlier generate step; choose another folder, or empty it"
        )


def _listed(folder: Path) -> list[str]:
    """The files that an earlier generate step wrote into `folder`."""
    return list(listed_files(folder, STEP)) if (folder / MANIFEST).is_file() else []


def _replace(folder: Path, staging: Path) -> None:
    """Put the files below `staging` in place of an earlier step's."""
    for name in _listed(folder):
        (folder / name).unlink(missing_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in sorted(path for path in staging.rglob("*") if path.is_file()):
        target = folder / path.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _checked(trained: TrainedModel, images: Images, wanted: Integers) -> Copying:
    """The check against all training images, beside the test images of the same classes."""
    test = trained.prepared.test
    held_out = test[np.isin(labels_of(test), wanted)]
    return check_copies(trained.model, {GENERATED: images}, held_out, trained.prepared.train)[GENERATED]


def _warnings(check: Copying) -> list[str]:
    return [f"nearly copies of training images: {reason}" for reason in check.reasons]


def _write_images(
    folder: Path, images: Images, drawn: Drawn, trained: TrainedModel, request: GenerateRequest
) -> list[str]:
    """One PNG for each image; their paths relative to `folder`."""
    shaped = [found[0] for found in images]
    if request.size == "original":
        fit = trained.prepared.manifest.configuration["fit"]
        ratios = _ratios(trained, drawn, request.seed)
        shaped = [reshaped(found, ratio, fit) for found, ratio in zip(shaped, ratios, strict=True)]
    safe = file_names(class_names(trained.prepared))
    numbers = _numbers(drawn.labels)
    files = [
        f"images/{safe[label]}/{safe[label]}_{number:04d}.png"
        for label, number in zip(drawn.labels, numbers, strict=True)
    ]
    for file, pixels in zip(files, shaped, strict=True):
        write_bytes(folder / file, _png(pixels))
    return files


def _numbers(labels: Integers) -> Integers:
    """1, 2, ... within each label: [n]."""
    numbers = np.zeros_like(labels)
    for label in np.unique(labels):
        mine = labels == label
        numbers[mine] = np.arange(1, mine.sum() + 1)
    return numbers


def _ratios(trained: TrainedModel, drawn: Drawn, seed: int) -> list[float]:
    """Width / height for each image: that of the training image it was drawn around, else drawn from the class's."""
    names, known = class_names(trained.prepared), trained.prepared.manifest.info["aspect_ratios"]
    train = labels_of(trained.prepared.train)
    generator = np.random.default_rng(derive(seed, "aspect ratios"))
    ratios = []
    for label, image in zip(drawn.labels, drawn.image, strict=True):
        own = known[names[label]]
        place = generator.integers(len(own)) if image == NOT_AN_IMAGE else int((train[:image] == label).sum())
        ratios.append(float(own[place]))
    return ratios


def reshaped(image: Images, ratio: float, fit: str) -> Images:
    """A square [S, S] with the longer side S and width / height = `ratio`, undoing what `prepare` did to real images.

    Where they were padded the bars are cut off, where they were squashed the image is stretched back.
    """
    side = len(image)
    width, height = (max(1, round(side * part)) for part in (min(1.0, ratio), min(1.0, 1 / ratio)))
    if fit == "squash":
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    top, left = (side - height) // 2, (side - width) // 2
    return image[top : top + height, left : left + width]


def _png(pixels: Images) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    return file.getvalue()


def _write_latents(folder: Path, drawn: Drawn, names: tuple[str, ...]) -> None:
    arrays = {"z": drawn.z.numpy(), "label": drawn.labels, "image": drawn.image, "classes": np.array(names)}
    write_atomically(folder / "latents.npz", lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def _write_check(folder: Path, check: Copying, drawn: Drawn, files: list[str], names: tuple[str, ...]) -> None:
    """The whole set's numbers as JSON, each image's nearest training image as CSV."""
    checks = {space: asdict(found) for space, found in check.checks.items()}
    write_json(folder / "memorisation.json", {"checks": checks, "warnings": _warnings(check)})
    head = ("file", "class", "distance", "seen_in", "nearest_training_image", "drawn_around")
    rows = (
        [file, names[label], f"{distance:.6g}", check.space, neighbour, "" if image == NOT_AN_IMAGE else image]
        for file, label, distance, neighbour, image in zip(
            files, drawn.labels, check.distance, check.neighbour, drawn.image, strict=True
        )
    )
    write_bytes(folder / "memorisation.csv", csv_text(head, rows).encode())
