"""The generate step: a winner's manifest in, images of wished classes out, with a check for copies, the manifest last.

Shapes: n images [n, 1, S, S] in 0..255; files are grey PNG.
"""

import csv
import io
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.config.experiment import family_named
from vaeforge.config.layouts import layout_named
from vaeforge.errors import ConfigError, DataError, nearest
from vaeforge.evaluate.images import decoded
from vaeforge.evaluate.latent_posteriors import class_names, conditions_of, file_names, labels_of, library_of
from vaeforge.evaluate.memorization import Copying, check_copies
from vaeforge.evaluate.step import MANIFEST, hashes_of, relative_to
from vaeforge.evaluate.tasks.classes.class_samples import rounded
from vaeforge.generate.latents import NOT_AN_IMAGE, Drawn, Source, draw
from vaeforge.paths import Project, read_json, write_atomically, write_bytes, write_json
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel, lineage, load_trained_model

ALL = "all"
STEP = "generate"
GENERATED = "generated"
Size = Literal["square", "original"]
Images = NDArray[np.uint8]
Integers = NDArray[np.int64]


def generate_run(
    project: Project,
    winner: Mapping[str, Any],
    folder: Path,
    source: Source = "prior",
    label: str = ALL,
    count: int = 16,
    seed: int = 0,
    size: Size = "square",
    image: int | None = None,
) -> dict[str, Any]:
    """Generate `count` images of the class called `label`, or of each class, into `folder`; returns the manifest.

    Writes images/<class>/<class>_<number>.png, latents.npz, memorisation.json and .csv, and manifest.json last. Its
    `warnings` say why the images must be taken for near copies of training images, and are empty where nothing does.

    Args:
        project: where the winner's files are.
        winner: its manifest.
        folder: new, empty, or of an earlier generate step, whose files are replaced.
        source: `prior`, `aggregate` or `image`; see `latents`.
        label: a class by its name, or `all`.
        count: images of each class.
        seed: of latents and aspect ratios.
        size: `square` as the model makes them, or `original`: aspect ratios drawn from the class's training images.
        image: which training image of the class for the source `image`; none draws one by the seed.

    Raises:
        ConfigError: if an argument is not allowed, or the family has no classes.
        DataError: if `folder` holds other files; else see `load_trained_model`.
        CheckpointError: see `load_trained_model`.
    """
    _require_arguments(winner["family"], count, size)
    loaded = load_trained_model(project, winner)
    names = class_names(loaded.prepared)
    wanted = _wanted(label, names)
    require_room(folder)
    library = library_of(loaded.model, loaded.prepared.train)
    drawn = draw(library, source, np.repeat(wanted, count), seed, image)
    raw = decoded(loaded.model, drawn.z, conditions_of(drawn.labels, loaded.prepared.train.condition.shape[1]))
    images = rounded(raw)
    check = _checked(loaded, images, wanted)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{STEP}-") as name:
        staging = Path(name)
        files = _write_images(staging, images, drawn, loaded, seed, size)
        _write_latents(staging, drawn, names)
        _write_check(staging, check, drawn, files, names)
        _replace(folder, staging)
    asked = {"source": source, "label": label, "count": count, "seed": seed, "size": size, "image": image}
    manifest = {"step": STEP, **lineage(winner), "asked": asked, "images": len(images), "warnings": _warnings(check)}
    manifest |= {"folder": relative_to(project, folder), "files": hashes_of(folder)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def _require_arguments(family: str, count: int, size: str) -> None:
    problems = []
    if not layout_named(family_named(family).data).condition_is_class:
        problems.append(f"family: got {family}, must be one that learns from images in classes; take another winner")
    if count < 1:
        problems.append(f"count: got {count}, must be >= 1")
    if size not in get_args(Size):
        problems.append(f"size: got {size!r}, must be one of {', '.join(get_args(Size))}")
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
    path = folder / MANIFEST
    manifest = read_json(path, "choose another folder") if path.is_file() else {}
    return list(manifest["files"]) if manifest.get("step") == STEP else []


def _replace(folder: Path, staging: Path) -> None:
    """Put the files below `staging` in place of an earlier step's."""
    for name in _listed(folder):
        (folder / name).unlink(missing_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in sorted(path for path in staging.rglob("*") if path.is_file()):
        target = folder / path.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _checked(loaded: TrainedModel, images: Images, wanted: Integers) -> Copying:
    """The check against all training images, beside the test images of the same classes."""
    test = loaded.prepared.test
    held_out = test[np.isin(labels_of(test), wanted)]
    return check_copies(loaded.model, {GENERATED: images}, held_out, loaded.prepared.train)[GENERATED]


def _warnings(check: Copying) -> list[str]:
    return [f"nearly copies of training images: {reason}" for reason in check.reasons]


def _write_images(folder: Path, images: Images, drawn: Drawn, loaded: TrainedModel, seed: int, size: Size) -> list[str]:
    """One PNG for each image; their paths relative to `folder`."""
    shaped = [found[0] for found in images]
    if size == "original":
        fit = loaded.prepared.manifest["configuration"]["fit"]
        ratios = _ratios(loaded, drawn, seed)
        shaped = [reshaped(found, ratio, fit) for found, ratio in zip(shaped, ratios, strict=True)]
    safe = file_names(class_names(loaded.prepared))
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


def _ratios(loaded: TrainedModel, drawn: Drawn, seed: int) -> list[float]:
    """Width / height for each image: that of the training image it was drawn around, else drawn from the class's."""
    names, known = class_names(loaded.prepared), loaded.prepared.manifest["info"]["aspect_ratios"]
    train = labels_of(loaded.prepared.train)
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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "class", "distance", "seen_in", "nearest_training_image", "drawn_around"])
    for file, label, distance, neighbour, image in zip(
        files, drawn.labels, check.distance, check.neighbour, drawn.image, strict=True
    ):
        writer.writerow(
            [file, names[label], f"{distance:.6g}", check.space, neighbour, "" if image == NOT_AN_IMAGE else image]
        )
    write_bytes(folder / "memorisation.csv", text.getvalue().encode())
