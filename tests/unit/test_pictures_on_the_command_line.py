"""Pictures as laboratories have them, on the command line: imported and prepared with the right values, or asked about.

Expected values are worked out by hand; what was prepared is read with NumPy alone.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from project import command_line

pytestmark = pytest.mark.usefixtures("undrawn")


def textured(path: Path, seed: int, side: int = 48) -> NDArray[np.uint8]:
    """A colour picture with structure of its own, written as the suffix says."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return np.asarray(picture)


def take(root: Path, *options: str, family: str = "endoscopy", code: int = 0) -> str:
    """What `vaeforge import` says of the folder `set`, as one line."""
    called = command_line(root, "import", "set", "--family", family, "--track", "false", *options)
    assert called.code == code, called.stdout + called.stderr
    assert code == 0 or not list((root / "data").glob("*/*/*"))
    return " ".join((called.stdout + called.stderr).split())


def prepared(root: Path, family: str = "endoscopy", size: int = 16) -> dict[str, Any]:
    """The manifest and the arrays that `vaeforge prepare` writes, without room for crops."""
    given = ["--set", f"prepare.size={size}", *(["--set", "prepare.margin=0"] if family == "endoscopy" else [])]
    called = command_line(root, "prepare", "--family", family, *given)
    assert called.code == 0, called.stdout + called.stderr
    folder = root / "artifacts/prepared" / family
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found | {path.stem: np.load(path) for path in folder.glob("*.npy")}


def groups_of(root: Path, family: str = "endoscopy", name: str = "groups.csv") -> dict[str, str]:
    with (root / "data" / family / "set" / name).open() as file:
        rows = list(csv.reader(file))
    return dict(rows[1:])


def ramps(folder: Path, low: int, high: int, kind: str = "png") -> None:
    """Six pictures of two classes, greys from `low` to `high`, each with a gradient of its own."""
    for number in range(12):
        values = np.linspace(low, high, 64 * 64).round().astype(np.uint16)
        values = np.roll(values, 300 * number).reshape(64, 64)
        place = folder / ("normal" if number < 8 else "scratch") / f"{number}.{kind}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "tif":
            tifffile.imwrite(place, values)
        else:
            Image.fromarray(values).save(place)


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize(
    ("depth", "low", "high", "count"), [(None, 3201, 60814, 3601), ("16", 3201, 60814, 3601), ("8", 12, 237, 226)]
)
@pytest.mark.slow
def test_a_camera_of_12_bits_keeps_its_levels(
    tmp_path: Path, kind: str, depth: str | None, low: int, high: int, count: int
) -> None:
    """200 to 3,800 of 4,095, every one of them: round(v / 4095 * 65535) in 16 bits, round(v / 4095 * 255) in 8."""
    ramps(tmp_path / "set", 200, 3800, kind)
    said = take(tmp_path, *([] if depth is None else ["--depth", depth]))
    assert "12 picture(s) of more than 8 bits, values 200 to 3800: white is 4095" in said
    assert f"samples keep {depth or 16} bits" in said
    found = prepared(tmp_path, size=64)
    levels = np.unique(found["train"])
    assert levels.dtype == (np.uint8 if depth == "8" else np.uint16)
    assert (levels.min(), levels.max(), len(levels)) == (low, high, count)
    assert found["info"]["pictures"]["white"] == 4095


def test_the_white_level_can_be_stated(tmp_path: Path) -> None:
    """3,800 of 65,535 is 15 of 255: what was meant, if somebody says so."""
    ramps(tmp_path / "set", 200, 3800)
    assert "white is 65535, as stated" in take(tmp_path, "--white", "65535", "--depth", "8")
    assert prepared(tmp_path)["train"].max() == 15


def test_a_wrong_white_leaves_out_what_lies_beyond(tmp_path: Path) -> None:
    ramps(tmp_path / "set", 200, 3800)
    said = take(tmp_path, "--white", "1023", code=2)
    assert "lie outside of 0 (black) to 1023 (white)" in said


def test_floating_point_without_a_range_is_asked_about(tmp_path: Path) -> None:
    """0.2 and 0.8 of a range from 0 to 1 are 13107 and 52428 of 65,535."""
    for number in range(12):
        values = np.full((20, 20), 0.2, dtype=np.float32)
        values[:10, : number + 2] = 0.8
        path = tmp_path / "set" / ("normal" if number < 8 else "scratch") / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, values)
    said = take(tmp_path, code=2)
    assert "--black 0 --white 1" in said
    take(tmp_path, "--white", "1")
    found = prepared(tmp_path)
    assert {13107, 52428} <= set(np.unique(found["validation"]).tolist())


def test_signed_16_bits_have_the_stated_range(tmp_path: Path) -> None:
    """-1000 and 1000 of -1000 to 1000 are 0 and 65,535."""
    for number in range(12):
        values = np.full((16, 16), -1000, dtype=np.int16)
        values[:, : number + 2] = 1000
        path = tmp_path / "set" / ("normal" if number < 8 else "scratch") / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, values)
    assert "int16 values from -1000 to 1000" in take(tmp_path, code=2)
    take(tmp_path, "--black", "-1000", "--white", "1000")
    assert set(np.unique(prepared(tmp_path)["train"]).tolist()) == {0, 65535}


def people(root: Path, place: str, family: str = "endoscopy") -> None:
    """Nine people with three normal and two other pictures each, at `place` by class, person and number."""
    for person in range(9):
        for number in range(5):
            label = "normal" if number < 3 else "polyps"
            textured(root / "set" / place.format(label=label, person=f"p{person}", number=number), 10 * person + number)


def parts_of_people(found: dict[str, Any], root: Path) -> None:
    """Nobody who is tested trains or validates: pictures are known by their pixels."""
    known = {}
    for path in sorted((root / "data").rglob("*.png")):
        if not any(part.startswith(".") for part in path.parts):
            small = Image.open(path).resize((16, 16), Image.Resampling.BICUBIC)
            known[np.asarray(small).transpose(2, 0, 1).tobytes()] = path.relative_to(root).as_posix()
    groups = {f"data/endoscopy/set/{item}": group for item, group in groups_of(root).items()}
    owners = [{groups[known[image.tobytes()]] for image in found[part]} for part in ("train", "validation", "test")]
    assert all(owners) and sum(map(len, owners)) == len(set.union(*owners)), owners


@pytest.mark.parametrize(
    ("place", "options", "rule"),
    [
        ("{label}/{person}/{number}.png", ("--groups", "class/patient/image"), "by folders class/patient/image"),
        ("{person}/{label}/{number}.png", ("--groups", "patient/class/image"), "by folders patient/class/image"),
        ("{label}/{person}_{number}.png", ("--groups", "(p[0-9])_"), "by --groups (p[0-9])_"),
        ("{label}/sub-{person}_run-{number}.png", (), "by sub-… in their names"),
    ],
)
@pytest.mark.slow
def test_people_are_never_on_both_sides(tmp_path: Path, place: str, options: tuple[str, ...], rule: str) -> None:
    people(tmp_path, place)
    said = take(tmp_path, *options)
    assert f"45 pictures are 9 groups ({rule}); a group is in one part only" in said
    found = prepared(tmp_path)
    parts_of_people(found, tmp_path)
    assert found["counts"]["test_normal"] % 3 == 0


@pytest.mark.slow
def test_a_column_of_a_table_says_whose_picture_it_is(tmp_path: Path) -> None:
    people(tmp_path, "{label}/{person}_{number}.png")
    rows = [f"{path.name},{path.name[:2]}" for path in sorted((tmp_path / "set").rglob("*.png"))]
    (tmp_path / "set/clinic.csv").write_text("\n".join(["filename,patient", *rows]))
    said = take(tmp_path, "--group-column", "patient")
    assert "45 pictures are 9 groups (by patient of clinic.csv)" in said
    parts_of_people(prepared(tmp_path), tmp_path)
    (tmp_path / "set/clinic.csv").rename(tmp_path / "people.csv")
    said = take(tmp_path, "--groups", "people.csv", "--replace", "true")
    assert "45 pictures are 9 groups (by people.csv)" in said


def test_runs_without_a_rule_are_asked_about(tmp_path: Path) -> None:
    people(tmp_path, "{label}/anna{person}_visit-{number}.png")
    assert "differ in the number of a run, session or visit only" in take(tmp_path, code=2)


def test_classes_of_people_are_divided_by_people(tmp_path: Path) -> None:
    people(tmp_path, "{label}/{person}/{number}.png")
    take(tmp_path, "--groups", "class/patient/image", family="cilia")
    found = prepared(tmp_path, "cilia")
    assert found["info"]["groups"] == 9
    # whole people of five pictures each
    assert all(len(found[part]) % 5 == 0 for part in ("train", "validation", "test"))


def test_parts_that_a_source_has_are_asked_about_and_kept_on_request(tmp_path: Path) -> None:
    """As MVTec AD has them: normal pictures to train, normal and other ones to test, of the same names."""
    for number in range(12):
        textured(tmp_path / f"set/train/good/{number:03}.png", number)
    for number in range(5):
        textured(tmp_path / f"set/test/good/{number:03}.png", 50 + number)
        textured(tmp_path / f"set/test/broken/{number:03}.png", 100 + number)
    said = take(tmp_path, "--normal", "good", code=2)
    assert "has folders test, train" in said and "--split folders" in said
    said = take(tmp_path, "--normal", "good", "--split", "folders")
    assert "the source's parts are kept" in said
    assert groups_of(tmp_path, name="parts.csv")["normal-good/test_003.png"] == "test"
    counts = prepared(tmp_path)["counts"]
    # validation: 0.2 / (1 - 0.3) of the twelve, rounded
    assert (counts["train"], counts["validation"]) == (9, 3)
    assert (counts["test_normal"], counts["test_anomalous"]) == (5, 5)
    said = take(tmp_path, "--normal", "good", "--yes", "true", "--replace", "true")
    assert "all pictures are divided anew" in said
    assert sum(prepared(tmp_path)["counts"][part] for part in ("train", "validation", "test_normal")) == 17


def test_near_copies_stay_together(tmp_path: Path) -> None:
    """20 normal pictures, each as PNG and as JPEG."""
    for number in range(20):
        picture = Image.fromarray(textured(tmp_path / f"set/normal/{number}.png", number))
        picture.save(tmp_path / f"set/normal/again_{number}.jpg", quality=75)
        textured(tmp_path / f"set/polyps/{number}.png", 100 + number)
    said = take(tmp_path)
    assert "20 near copies of other pictures" in said and "each is kept in one part with its original" in said
    counts = prepared(tmp_path)["counts"]
    assert counts["test_normal"] == 2 * counts["test_normal_groups"]
    assert counts["train"] % 2 == counts["validation"] % 2 == 0


def test_exact_copies_are_refused_or_dropped_and_listed(tmp_path: Path) -> None:
    for number in range(10):
        textured(tmp_path / f"set/normal/{number}.png", number)
        textured(tmp_path / f"set/polyps/{number}.png", 100 + number)
    for number in range(3):
        Image.open(tmp_path / f"set/normal/{number}.png").save(tmp_path / f"set/normal/copy{number}.bmp")
    assert "--duplicates drop" in take(tmp_path, code=2)
    take(tmp_path, "--duplicates", "drop")
    listed = (tmp_path / "data/endoscopy/set/.import/quarantine.csv").read_text()
    assert all(f'normal/copy{number}.bmp,"the same picture as normal/{number}.png' in listed for number in range(3))


def test_channels_of_a_microscope_are_asked_about_and_taken_by_name(tmp_path: Path) -> None:
    """Four channels of 12 bits; GFP of the first picture is 4095 of 4095 at its brightest."""
    for number in range(12):
        values = np.random.default_rng(number).integers(0, 400, (4, 20, 20)).astype(np.uint16)
        values[1, :10] = 4095
        path = tmp_path / "set" / ("normal" if number < 8 else "dead") / f"{number}.ome.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = {"Name": ["DAPI", "GFP", "RFP", "BF"]}
        tifffile.imwrite(path, values, photometric="minisblack", metadata={"axes": "CYX", "Channel": names})
    assert "has 4 channels (DAPI, GFP, RFP, BF), the family takes 3" in take(tmp_path, code=2)
    take(tmp_path, "--channels", "GFP")
    train = prepared(tmp_path)["train"]
    assert (train[:, :, :6] == 65535).all() and train[:, :, 10:].max() < 7000  # 400 / 4095 * 65535 = 6401


def test_slices_of_a_stack_are_asked_about(tmp_path: Path) -> None:
    for number in range(12):
        values = np.random.default_rng(number).integers(0, 100, (3, 20, 20)).astype(np.uint8)
        values[2, 5:9] = 250
        path = tmp_path / "set" / ("normal" if number < 8 else "dead") / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, values, imagej=True, metadata={"axes": "ZYX"})
    assert "holds 3 slices of a stack; say what they are: --pages frames" in take(tmp_path, code=2)
    take(tmp_path, "--pages", "max")
    # rows 5 to 8 of the 20 are 4 to 7.2 of 16: row 5 and 6 lie inside
    assert (prepared(tmp_path)["train"][:, :, 5:7] >= 240).all()


def test_separate_planes_and_inverted_greys_are_read_as_they_are_shown(tmp_path: Path) -> None:
    """16-bit RGB in planes of its own: red 65535, green 32896, blue 0. WhiteIsZero 0 is white."""
    for number in range(12):
        values = np.zeros((3, 20, 20), dtype=np.uint16)
        values[0], values[1] = 65535, 32896
        noise = np.random.default_rng(number).integers(0, 65536, (2, 10, 20)).astype(np.uint16)
        values[:, 10:] = noise[0]  # pictures that differ
        label = "normal" if number < 8 else "dead"
        path = tmp_path / "set" / label / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, values, photometric="rgb", planarconfig="separate")
        ink = np.full((20, 20), 65535, dtype=np.uint16)
        ink[:, 10:] = 0
        ink[10:] = noise[1]
        tifffile.imwrite(path.with_name(f"ink{number}.tif"), ink, photometric="miniswhite")
    take(tmp_path)
    train = prepared(tmp_path)["train"]
    colour = train[:, 1, 4, 8] == 32896
    assert colour.any() and (~colour).any()
    assert train[colour, :, 4, 8].tolist() == [[65535, 32896, 0]] * int(colour.sum())
    assert (train[~colour, :, 4, 3] == 0).all() and (train[~colour, :, 4, 12] == 65535).all()


def test_bmp_and_webp_are_read(tmp_path: Path) -> None:
    for number in range(10):
        textured(tmp_path / f"set/normal/{number}.bmp", number)
        path = tmp_path / f"set/polyps/{number}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(textured(tmp_path / "one.png", 100 + number)).save(path, lossless=True)
    assert "20 images, 2 classes" in take(tmp_path)
    assert prepared(tmp_path)["counts"]["quarantined"] == 0


def test_groups_of_frames_are_refused(tmp_path: Path) -> None:
    for number in range(3):
        textured(tmp_path / f"set/{number}.png", number)
    assert "leave them away" in take(tmp_path, "--groups", "x", family="speckle", code=2)


def test_a_class_that_is_a_link_is_refused_at_both_doors(tmp_path: Path) -> None:
    for number in range(8):
        textured(tmp_path / f"set/normal/{number}.png", number)
        textured(tmp_path / f"set/polyps/{number}.png", 100 + number)
        textured(tmp_path / f"far/{number}.png", 200 + number)
    (tmp_path / "set/ulcer").symlink_to(tmp_path / "set/polyps")
    assert "1 link(s) to folders, which are not followed, must be none" in take(tmp_path, code=2)
    (tmp_path / "set/ulcer").unlink()
    (tmp_path / "data").mkdir()
    (tmp_path / "set").rename(tmp_path / "data/endoscopy")
    (tmp_path / "data/endoscopy/ulcer").symlink_to(tmp_path / "far")
    called = command_line(tmp_path, "prepare", "--family", "endoscopy")
    said = " ".join(called.stderr.split())
    assert called.code == 2 and "1 link(s) to folders, which are not followed" in said and "ulcer" in said


def mask(path: Path, seed: int) -> None:
    """A white rectangle on black, written as the suffix says."""
    levels = np.zeros((48, 48), dtype=np.uint8)
    levels[8:24, 10 + seed : 30 + seed] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)


def test_masks_are_kept_as_masks(tmp_path: Path) -> None:
    """As MVTec AD has them: ground_truth/broken/000_mask.png is of test/broken/000.png, not of train/good/000.png.

    The rectangle of rows 8 to 23 of 48 is rows 2.67 to 8 of 16, of which 3 to 7 are covered by at least half.
    """
    for number in range(10):
        textured(tmp_path / f"set/train/good/{number:03}.png", number)
    for number in range(5):
        textured(tmp_path / f"set/test/good/{number:03}.png", 50 + number)
        textured(tmp_path / f"set/test/broken/{number:03}.png", 100 + number)
        if number < 4:
            mask(tmp_path / f"set/ground_truth/broken/{number:03}_mask.png", number)
    said = take(tmp_path, "--normal", "good", "--split", "folders")
    assert "normal: normal-good (15); anomalous: broken (5)" in said
    assert "4 masks of pictures: kept as masks" in said
    written = np.asarray(Image.open(tmp_path / "data/endoscopy/set/masks/broken/test_003.png"))
    assert (written == 255).sum() == 16 * 20 and written[8, 13] == written[23, 32] == 255
    found = prepared(tmp_path)
    assert (found["counts"]["test_anomalous"], found["counts"]["test_masks"]) == (5, 4)
    masks, labels = found["test_masks"], found["test_labels"]
    assert not masks[labels == 0].any()
    of_broken = masks[labels == 1]  # sorted by name
    assert (of_broken[4] == 255).all()
    # columns 13 to 32 of 48, three to one: 4.33 to 10.99 cover at least half of 4 (4.33 to 5) to 10
    rows, columns = np.nonzero(of_broken[3])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 7, 4, 10)
    assert set(np.unique(of_broken[3])) == {0, 1}


def test_a_mask_of_another_size_is_left_out(tmp_path: Path) -> None:
    for number in range(10):
        textured(tmp_path / f"set/normal/{number}.png", number)
        textured(tmp_path / f"set/polyps/p{number}.png", 100 + number, side=40 if number == 2 else 48)
        mask(tmp_path / f"set/masks/p{number}.png", number)
    assert "9 masks of pictures: kept as masks" in take(tmp_path)
    listed = (tmp_path / "data/endoscopy/set/.import/quarantine.csv").read_text()
    assert '"a mask of polyps/p2.png: is 48 x 48 pixels, must be 40 x 40"' in listed


def test_masks_of_classes_are_no_pictures(tmp_path: Path) -> None:
    for number in range(12):
        name = f"{'round' if number < 6 else 'flat'}_{number}"
        textured(tmp_path / f"set/{name}.png", number)
        mask(tmp_path / f"set/masks/{name}.png", number)
    assert "12 images, 2 classes" in take(tmp_path, family="cilia")


def test_masks_in_jpeg_beside_flat_files_are_known(tmp_path: Path) -> None:
    for number in range(12):
        name = f"{'normal' if number < 8 else 'polyps'}_{number}"
        textured(tmp_path / f"set/{name}.jpg", number)
        mask(tmp_path / f"set/masks/{name}.jpg", number)
    assert "12 images, 2 classes" in take(tmp_path)


def test_what_is_named_like_a_mask_and_looks_like_none_is_asked_about(tmp_path: Path) -> None:
    """People who wear masks: pictures that other classes have by the same numbers."""
    for number in range(8):
        textured(tmp_path / f"set/normal/{number}.png", number)
        textured(tmp_path / f"set/masks/{number}.png", 100 + number)
    said = take(tmp_path, code=2)
    assert "8 pictures are named like masks of others and have more than two levels" in said
    assert "anomalous: masks (8)" in take(tmp_path, "--yes", "true")


def test_prepare_takes_masks_put_there_by_hand(tmp_path: Path) -> None:
    for number in range(10):
        textured(tmp_path / f"data/endoscopy/normal/{number}.png", number)
        textured(tmp_path / f"data/endoscopy/polyps/p{number}.png", 100 + number)
        mask(tmp_path / f"data/endoscopy/masks/p{number}.png", number)
    counts = prepared(tmp_path)["counts"]
    assert counts["quarantined"] == 0 and counts["test_masks"] == counts["test_anomalous"] == 3
