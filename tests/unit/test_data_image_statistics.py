"""Statistics of images as they came: every mode and shape, every layout, and the mean of each class by hand."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from vaeforge import pipeline
from vaeforge.config.loader import load
from vaeforge.data.image_statistics import CLASSES, IMAGES, write_statistics
from vaeforge.data.layouts import classes
from vaeforge.data.layouts.classes import ClassSettings
from vaeforge.data.prepare import prepare
from vaeforge.paths import Project
from vaeforge.samples import RawImage

HEAD = "class,images,width_mean,width_sd,width_min,width_max,height_mean,height_sd,height_min,height_max,"
HEAD += "aspect_ratio_mean,aspect_ratio_sd,aspect_ratio_min,aspect_ratio_max"


def rows(path: Path) -> dict[str, dict[str, str]]:
    """The lines by their first cell."""
    with path.open(encoding="utf-8", newline="") as file:
        return {next(iter(line.values())): line for line in csv.DictReader(file)}


def test_both_files_by_hand(tmp_path: Path) -> None:
    images = [RawImage("a/1.png", "a", 100, 50), RawImage("a/2.png", "a", 300, 100), RawImage("b,b/1.png", "b,b", 3, 9)]
    assert write_statistics(tmp_path, images) == [tmp_path / IMAGES, tmp_path / CLASSES]
    assert (tmp_path / IMAGES).read_text() == (
        "image,class,width,height,aspect_ratio\n"
        'a/1.png,a,100,50,2\na/2.png,a,300,100,3\n"b,b/1.png","b,b",3,9,0.333333\n'
    )
    head, a, b, whole = (tmp_path / CLASSES).read_text().splitlines()
    assert head == HEAD
    # standard deviations of two values: their difference / sqrt(2)
    assert a == "a,2,200,141.421,100,300,75,35.3553,50,100,2.5,0.707107,2,3"
    assert b == '"b,b",1,3,,3,3,9,,9,9,0.333333,,0.333333,0.333333'
    assert whole.startswith("all,3,134.333,")


def test_files_of_earlier_data_go_where_there_are_no_images(tmp_path: Path) -> None:
    write_statistics(tmp_path, [RawImage("a", "a", 1, 1)])
    assert write_statistics(tmp_path, []) == [] and not list(tmp_path.iterdir())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Class folders of every kind of picture: grey, RGBA, palette, 16 bits, and one of 4,000 by 2 pixels."""
    rng = np.random.default_rng(0)
    normal, polyps = (tmp_path / "data/endoscopy" / name for name in ("normal", "polyps"))
    for folder, count in ((normal, 12), (polyps, 3)):
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    Image.new("L", (31, 62), 7).save(normal / "grey.png")
    Image.new("RGBA", (50, 20), (1, 2, 3, 4)).save(normal / "transparent.png")
    Image.new("P", (21, 22), 3).save(normal / "palette.png")
    Image.fromarray(np.full((24, 23), 999, np.uint16)).save(normal / "deep.tif")
    Image.new("RGB", (4000, 2), (9, 9, 9)).save(polyps / "long.png")
    (polyps / "broken.png").write_bytes(b"no picture")
    return Project(tmp_path)


def test_prepare_writes_them_beside_the_arrays_and_says_where(project: Project) -> None:
    config = load(project.root, "endoscopy", assignments=["prepare.size=16", "prepare.margin=8"])
    console = Console(width=500, file=io.StringIO())
    with console.capture() as captured:
        pipeline.prepare(project, config, console)
    folder = project.prepared("endoscopy")
    assert f"{folder}/{{{IMAGES},{CLASSES}}}" in captured.get()
    images = rows(folder / IMAGES)
    assert len(images) == 12 + 4 + 3 + 1 and "polyps/broken.png" not in images
    sizes = {name: (int(line["width"]), int(line["height"])) for name, line in images.items()}
    assert sizes["normal/grey.png"] == (31, 62) and sizes["normal/transparent.png"] == (50, 20)
    assert sizes["normal/palette.png"] == (21, 22) and sizes["normal/deep.tif"] == (23, 24)
    assert sizes["polyps/long.png"] == (4000, 2) and images["polyps/long.png"]["aspect_ratio"] == "2000"
    found = rows(folder / CLASSES)
    assert list(found) == ["normal", "polyps", "all"] and found["normal"]["images"] == "16"
    assert float(found["normal"]["width_mean"]) == pytest.approx((12 * 40 + 31 + 50 + 21 + 23) / 16, rel=1e-5)
    assert float(found["polyps"]["aspect_ratio_mean"]) == pytest.approx((3 * 40 / 30 + 2000) / 4, rel=1e-5)


def test_annotated_images_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "data/endoscopy/skin"
    folder.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 200, 3), dtype=np.uint8)).save(folder / "image.png")
    labels = np.ones((64, 200), np.uint8)
    labels[:32, 140:] = 2
    Image.fromarray(labels).save(folder / "labels.png")
    small = ["prepare.size=16", "prepare.margin=4", "prepare.stride=8"]
    prepared = prepare(Project(tmp_path), load(tmp_path, "endoscopy", assignments=small).experiment)
    assert rows(prepared.folder / IMAGES)["skin/image.png"] == {
        "image": "skin/image.png",
        "class": "annotated",
        "width": "200",
        "height": "64",
        "aspect_ratio": "3.125",
    }


def test_images_of_classes_in_folders_and_in_an_archive(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, size in (("one", (30, 10)), ("two", (10, 20))):
        (tmp_path / "files" / name).mkdir(parents=True)
        for number in range(4):
            picture = Image.fromarray(rng.integers(0, 256, size[::-1], dtype=np.uint8))
            picture.save(tmp_path / "files" / name / f"{number}.png")
    found = classes.read(tmp_path / "files", ClassSettings(size=16)).images
    assert [(one.name, one.label, one.aspect_ratio) for one in found][::4] == [
        ("one/0.png", "one", 3.0),
        ("two/0.png", "two", 0.5),
    ]
    (tmp_path / "archive").mkdir()
    arrays = {"images": rng.integers(0, 256, (8, 12, 24), dtype=np.uint8), "labels": np.arange(8) % 2}
    np.savez(tmp_path / "archive" / "images.npz", **arrays, classes=np.array(["zero", "one"]))
    found = classes.read(tmp_path / "archive", ClassSettings(size=16)).images
    assert len(found) == 8 and found[3] == RawImage("images/3", "one", 24, 12)
