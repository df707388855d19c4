"""Importing pictures: what is accepted, what is left out, what is refused; nothing is left behind by a refusal."""

import csv
import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaeforge.data.layouts.pictures.class_folders import find_pictures
from vaeforge.errors import ConfigError, DataError
from vaeforge.importing import description
from vaeforge.importing.import_options import ImportOptions, ImportResult
from vaeforge.importing.step import run_import
from vaeforge.paths import Project, read_json, sha256_of


def add(folder: Path, count: int, first: int = 0, pattern: str = "{}.png", size: tuple[int, int] = (8, 6)) -> None:
    """Pictures of one colour each; picture number n is (n, 2n, 3n) all over."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        Image.new("RGB", size, (number, 2 * number, 3 * number)).save(folder / pattern.format(number))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    add(tmp_path / "given/normal", 4)
    add(tmp_path / "given/polyps", 3, first=50)
    return tmp_path / "given"


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "rendered" not in request.fixturenames:
        monkeypatch.setattr(description, "save_chart", lambda chart, folder: None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def take(project: Project, source: Path, kind: str = "pictures", **options: Any) -> ImportResult:
    return run_import(source, "own", kind, project, ImportOptions(**options))


def refused(project: Project, source: Path, message: str, kind: str = "pictures", **options: Any) -> None:
    """A refusal says `message` and leaves nothing under data."""
    with pytest.raises(DataError, match=message):
        take(project, source, kind, **options)
    assert not list((project.root / "data").rglob("*"))


def quarantine(result: ImportResult) -> dict[str, str]:
    found = {row["file"]: row["reason"] for row in table(result.folder / ".import/quarantine.csv")}
    assert len(found) == result.quarantined
    return found


def files(result: ImportResult) -> list[str]:
    return sorted(
        p.relative_to(result.folder).as_posix() for p in result.folder.rglob("*.*") if ".import" not in str(p)
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(path: Path) -> Any:
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_a_folder_per_class_is_copied_as_it_is_and_prepare_reads_it(project: Project, source: Path) -> None:
    result = take(project, source)
    assert result.folder == project.root / "data/own/given"
    assert result.counts == {"images": 7, "classes": 2}
    assert sha256_of(result.folder / "polyps/51.png") == sha256_of(source / "polyps/51.png")
    found = find_pictures(result.folder, skip=set())
    assert {name: len(paths) for name, paths in found.items()} == {"normal": 4, "polyps": 3}


def test_statistics_summary_figures_and_manifest_are_written(rendered: None, project: Project, source: Path) -> None:
    add(source / "normal", 1, first=9, size=(16, 6))
    beside = take(project, source).folder / ".import"
    rows = table(beside / "statistics.csv")
    # colour (9, 18, 27): mean 18, variance (81 + 0 + 81) / 3 = 54
    wide = next(row for row in rows if row["file"] == "normal/9.png")
    assert (wide["class"], wide["width"], wide["height"]) == ("normal", "16", "6")
    assert float(wide["aspect_ratio"]) == pytest.approx(16 / 6)
    assert (float(wide["mean"]), float(wide["std"])) == (18, pytest.approx(54**0.5))
    assert (wide["min"], wide["max"]) == ("9", "27")
    summary = {row["class"]: row for row in table(beside / "summary.csv")}
    # widths 8 8 8 8 16: mean 9.6, sum of squares 4 * 1.6^2 + 6.4^2 = 51.2, over 4: 12.8
    assert summary["normal"]["items"] == "5"
    assert float(summary["normal"]["width_mean"]) == pytest.approx(9.6)
    assert float(summary["normal"]["width_sd"]) == pytest.approx(12.8**0.5)
    names = {"contact_sheet.png", "sizes.png", "aspect_ratios.png", "class_counts.png", "intensities.png"}
    assert {path.name for path in beside.glob("*.png")} == names
    assert all(pixels(path).std() > 0 for path in beside.glob("*.png"))


def test_the_manifest_lists_every_file_with_its_hash(project: Project, source: Path) -> None:
    result = take(project, source)
    manifest = read_json(result.manifest, "")
    below = {path for path in result.folder.rglob("*") if path.is_file()} - {result.manifest}
    assert manifest["files"] == {path.relative_to(result.folder).as_posix(): sha256_of(path) for path in below}
    assert (manifest["source"], manifest["kind"], manifest["counts"]) == ("given", "pictures", result.counts)


@pytest.mark.slow
def test_the_same_source_gives_the_same_bytes(rendered: None, project: Project, source: Path) -> None:
    first = read_json(take(project, source).manifest, "")
    assert read_json(take(project, source, replace=True).manifest, "") == first


def test_kvasirs_nested_folders_are_flattened(project: Project, tmp_path: Path) -> None:
    add(tmp_path / "kvasir/kvasir-dataset-v2/normal-cecum", 2)
    add(tmp_path / "kvasir/kvasir-dataset-v2/polyps", 2, first=9)
    result = take(project, tmp_path / "kvasir")
    assert files(result) == ["normal-cecum/0.png", "normal-cecum/1.png", "polyps/10.png", "polyps/9.png"]


@pytest.mark.parametrize("kind", ["pictures", "classes"])
def test_classes_are_taken_from_names_in_one_folder(project: Project, tmp_path: Path, kind: str) -> None:
    add(tmp_path / "flat", 3, pattern="normal_{}.png")
    add(tmp_path / "flat", 3, first=20, pattern="type_b_{}.png")
    add(tmp_path / "flat", 1, first=40, pattern="photo{}.png")
    result = take(project, tmp_path / "flat", kind)
    assert files(result)[:1] + files(result)[-1:] == ["normal/normal_0.png", "type_b/type_b_22.png"]
    assert quarantine(result) == {
        "photo40.png": "has no name of the form [Class]_[Number], and lies in no class folder"
    }


def test_a_class_can_be_named_normal(project: Project, tmp_path: Path) -> None:
    add(tmp_path / "set/healthy", 2)
    add(tmp_path / "set/sick", 2, first=9)
    refused(project, tmp_path / "set", r"are the pictures of healthy .2. normal.*--normal healthy")
    refused(project, tmp_path / "set", "--normal: got helthy, must be among", normal=("helthy",))
    assert files(take(project, tmp_path / "set", normal=("healthy",)))[0] == "normal-healthy/0.png"


def test_names_that_resemble_normal_are_asked_about(project: Project, tmp_path: Path) -> None:
    for first, name in enumerate(("normal", "normal_pylorus", "Normal cecum", "good", "abnormal", "not normal")):
        add(tmp_path / "set" / name, 2, first=10 * first)
    asked = r"Normal cecum .2., good .2., normal_pylorus .2. normal, as normal are"
    refused(project, tmp_path / "set", f"{asked}.*--normal normal,Normal cecum,good,normal_pylorus.*--normal normal`")
    result = take(project, tmp_path / "set", normal=("normal", "good"))
    (note,) = (one for one in result.notes if one.startswith("normal: "))
    assert note == (
        "normal: normal (2), normal-good (2); anomalous: Normal cecum (2), abnormal (2), normal_pylorus (2), "
        "not normal (2)"
    )


def test_damaged_pictures_are_left_out_and_listed(project: Project, source: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(source / "normal/truncated.png")
    whole = (source / "normal/truncated.png").read_bytes()
    (source / "normal/truncated.png").write_bytes(whole[: len(whole) // 2])
    (source / "polyps/empty.png").write_bytes(b"")
    (source / "polyps/notes.txt").write_text("not a picture")
    left_out = quarantine(take(project, source))
    assert set(left_out) == {"normal/truncated.png", "polyps/empty.png", "polyps/notes.txt"}
    assert "truncated" in left_out["normal/truncated.png"]
    assert "cannot be read" in left_out["polyps/empty.png"]
    assert "suffix" in left_out["polyps/notes.txt"]
    assert str(source) not in "".join(left_out.values())


def bomb(path: Path, side: int) -> None:
    """A small PNG that claims side x side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_decompression_bomb_is_left_out(project: Project, source: Path, side: int) -> None:
    bomb(source / "polyps/bomb.png", side)
    reasons = quarantine(take(project, source))
    assert set(reasons) == {"polyps/bomb.png"}
    assert "pixels" in reasons["polyps/bomb.png"]


def test_modes_become_grey_by_one_policy(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "modes"
    folder.mkdir()
    Image.fromarray(np.array([[0, 257], [65535, 12850]], dtype=np.uint16)).save(folder / "deep.png")
    Image.new("CMYK", (2, 2), (0, 0, 0, 155)).save(folder / "ink.jpg", quality=100)
    Image.new("RGB", (2, 2), (200, 200, 200)).save(folder / "colour.tif")
    Image.new("L", (2, 2), 7).save(folder / "grey.png")
    result = take(project, folder, "frames")
    # 16 bits are kept; CMYK: 255 - 155 = 100
    assert pixels(result.folder / "deep.png").tolist() == [[0, 257], [65535, 12850]]
    assert read_json(result.folder / "pictures.json", "")["white"] == 65535
    assert np.unique(pixels(result.folder / "ink.png")).tolist() == [100]
    assert np.unique(pixels(result.folder / "colour.png")).tolist() == [200]
    assert all(pixels(path).shape == (2, 2) for path in result.folder.glob("*.png"))
    assert any(remark.startswith("modes CMYK (1)") for remark in result.notes)


def test_frames_of_several_sizes_are_taken_and_said(project: Project, tmp_path: Path) -> None:
    add(tmp_path / "frames", 2)
    add(tmp_path / "frames", 1, first=30, size=(20, 10))
    result = take(project, tmp_path / "frames", "frames")
    assert result.counts == {"images": 3}
    assert "2 sizes, the most frequent ones 8 x 6 (2), 20 x 10 (1)" in result.notes


def test_what_pages_are_is_asked(project: Project, tmp_path: Path) -> None:
    add(tmp_path / "frames", 1, first=9)
    pages = [Image.new("L", (4, 4), shade) for shade in (10, 20)]
    pages[0].save(tmp_path / "frames/stack.tif", save_all=True, append_images=pages[1:])
    refused(project, tmp_path / "frames", r"stack\.tif: holds 2 pages; say what they are: --pages frames", "frames")
    result = take(project, tmp_path / "frames", "frames", pages="frames")
    assert [np.unique(pixels(result.folder / f"stack_{page}.png")).tolist() for page in (0, 1)] == [[10], [20]]
    groups = {row["item"]: row["group"] for row in table(result.folder / "groups.csv")}
    assert groups == {"9.png": "9.png", "stack_0.png": "stack.tif", "stack_1.png": "stack.tif"}
    highest = take(project, tmp_path / "frames", "frames", pages="max", replace=True)
    assert np.unique(pixels(highest.folder / "stack.png")).tolist() == [20]


@pytest.mark.parametrize("kind", ["pictures", "classes"])
def test_an_empty_class_and_a_single_picture_are_refused(project: Project, source: Path, kind: str) -> None:
    (source / "ulcer").mkdir()
    add(source / "cecum", 1, first=90)
    (source / "damaged").mkdir()
    (source / "damaged/a.png").write_bytes(b"")
    message = "3 class.* cecum has 1 usable of 1; damaged has 0 usable of 1; ulcer has 0 usable of 0"
    refused(project, source, message, kind)


def test_one_frame_is_refused(project: Project, tmp_path: Path) -> None:
    add(tmp_path / "frames", 1)
    refused(project, tmp_path / "frames", "the folder has 1 usable of 1", "frames")


def test_two_pictures_of_a_class_are_too_few_for_a_conditional_model(project: Project, source: Path) -> None:
    (source / "polyps/50.png").unlink()
    refused(project, source, "polyps has 2 usable of 2", "classes")
    shutil.rmtree(source / "polyps")
    refused(project, source, "has 1 class, must have at least 2", "classes")


def test_the_same_picture_twice_is_refused_whatever_its_format(project: Project, source: Path) -> None:
    Image.fromarray(pixels(source / "normal/3.png")).save(source / "polyps/other.tif")
    refused(project, source, r"1 pictures occur twice.*normal/3\.png = polyps/other\.tif")


def test_exact_copies_are_dropped_if_asked_and_all_listed(project: Project, source: Path) -> None:
    Image.fromarray(pixels(source / "normal/3.png")).save(source / "polyps/other.tif")
    result = take(project, source, duplicates="drop")
    assert quarantine(result) == {"polyps/other.tif": "the same picture as normal/3.png; dropped, as was asked"}


def test_folders_of_people_are_groups(project: Project, tmp_path: Path) -> None:
    for first, place in enumerate(("normal/anna", "normal/ben", "polyps/anna", "polyps/ben")):
        add(tmp_path / "set" / place, 2, first=20 * first)
    result = take(project, tmp_path / "set", groups="class/patient/image")
    assert "normal/anna_0.png" in files(result)
    groups = {row["item"]: row["group"] for row in table(result.folder / "groups.csv")}
    assert (groups["normal/anna_0.png"], groups["polyps/ben_60.png"], len(groups)) == ("anna", "ben", 8)
    assert any(note.startswith("8 pictures are 2 groups (by folders class/patient/image)") for note in result.notes)


def test_two_pictures_of_one_name_are_refused(project: Project, source: Path) -> None:
    add(source / "more/polyps", 1, first=77)
    (source / "more/polyps/77.png").rename(source / "more/polyps/51.png")
    refused(project, source, r"1 items would get the name of another.*more/polyps/51\.png = polyps/51\.png")


def test_pictures_beside_class_folders_are_refused(project: Project, source: Path) -> None:
    add(source, 1, first=99)
    refused(project, source, r"1 picture\(s\) lie beside class folders.*99\.png")


def test_nothing_usable_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    refused(project, tmp_path / "none", "nothing usable in it", "frames")
    refused(project, tmp_path / "missing", "missing: not found")
    (tmp_path / "one.png").write_bytes(b"")
    refused(project, tmp_path / "one.png", "is a file, must be a folder")


def test_unicode_spaces_and_formulas_in_names_work(rendered: None, project: Project, tmp_path: Path) -> None:
    add(tmp_path / "Über uns 数据/normal", 2)
    add(tmp_path / "Über uns 数据/ポリープ $x_1$ é", 2, first=9)
    result = take(project, tmp_path / "Über uns 数据")
    assert files(result)[-1] == "ポリープ $x_1$ é/9.png"
    assert "ポリープ $x_1$ é" in (result.folder / ".import/summary.csv").read_text(encoding="utf-8")


def test_names_in_either_normal_form_of_unicode_are_one(project: Project, source: Path) -> None:
    add(source / "norma\u0308l", 2, first=100)
    add(source / "norm\u00e4l", 2, first=110)
    result = take(project, source)
    assert result.counts["classes"] == 3
    assert (result.folder / "norm\u00e4l/100.png").is_file()


def test_a_name_that_is_not_utf8_is_left_out(project: Project, source: Path) -> None:
    shutil.copy(source / "normal/1.png", os.fsencode(source / "normal") + b"/caf\xe9.png")
    assert quarantine(take(project, source)) == {"normal/caf\\xe9.png": "its name is not UTF-8"}


def test_links_out_of_the_source_are_refused_and_links_within_followed(project: Project, source: Path) -> None:
    (source.parent / "secret.png").write_bytes((source / "normal/0.png").read_bytes())
    (source / "polyps/link.png").symlink_to(source.parent / "secret.png")
    refused(project, source, r"1 link\(s\) lead out of it.*polyps/link\.png")
    (source / "polyps/link.png").unlink()
    (source / "polyps/link.png").symlink_to(source / "polyps/50.png")
    refused(project, source, r"polyps/50\.png = polyps/link\.png")
    (source / "polyps/link.png").unlink()
    (source / "polyps/link.png").symlink_to(source / "polyps/link.png")
    assert "cannot be reached" in quarantine(take(project, source))["polyps/link.png"]


def test_a_folder_that_leads_out_is_refused(project: Project, source: Path) -> None:
    (source / "elsewhere").symlink_to(source.parent)
    refused(project, source, r"1 link\(s\) lead out of it.*elsewhere")


def test_a_pipe_is_left_out(project: Project, source: Path) -> None:
    os.mkfifo(source / "normal/pipe.png")
    assert quarantine(take(project, source)) == {"normal/pipe.png": "is no plain file"}


def stack(path: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "images": rng.integers(0, 256, (6, 5, 4), dtype=np.uint8),
        "labels": np.array([0, 1, 0, 1, 0, 1]),
        "classes": np.array(["a", "b"]),
    }
    np.savez(path, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
    return path


def test_a_stack_becomes_a_folder_per_class(project: Project, tmp_path: Path) -> None:
    path = stack(tmp_path / "images.npz")
    result = take(project, path, "classes", name="digits")
    assert files(result) == ["a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png", "b/5.png"]
    with np.load(path) as given:
        assert np.array_equal(pixels(result.folder / "b/3.png"), given["images"][3])
    (tmp_path / "set").mkdir()
    shutil.copy(path, tmp_path / "set/images.npz")
    (tmp_path / "set/LICENSE").write_text("free")
    assert quarantine(take(project, tmp_path / "set", "classes")) == {
        "LICENSE": "lies beside images.npz, which is read alone"
    }


def test_16_bits_of_a_stack_have_the_white_of_them_all(project: Project, tmp_path: Path) -> None:
    images = np.arange(6, dtype=np.uint16)[:, None, None] * np.full((1, 2, 2), 2570, dtype=np.uint16)
    result = take(project, stack(tmp_path / "deep.npz", images=images), "classes")
    # the largest value, 12850, lies within 14 bits: 12850 / 16383 * 255 = 200.01
    assert np.unique(pixels(result.folder / "b/5.png")).tolist() == [12850]
    assert read_json(result.folder / "pictures.json", "")["white"] == 16383
    eight = take(project, tmp_path / "deep.npz", "classes", depth="8", replace=True)
    assert np.unique(pixels(eight.folder / "b/5.png")).tolist() == [200]
    stated = take(project, tmp_path / "deep.npz", "classes", white=65535, depth="8", replace=True)
    assert np.unique(pixels(stated.folder / "b/5.png")).tolist() == [50]


@pytest.mark.parametrize("asked", [{"groups": r"\d"}, {"group_column": "person"}, {"split": "folders"}])
def test_a_stack_has_no_names_that_could_tell_groups(project: Project, tmp_path: Path, asked: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"whose pictures have no names that could tell groups"):
        take(project, stack(tmp_path / "images.npz"), "classes", **asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 5, 4))}, "images is float64"),
        ({"labels": np.array([0, 1, 0, 1, 0, 2])}, r"1 label\(s\) have no class.*labels\[5\] = 2"),
        ({"labels": np.array([0, 1, 0])}, r"labels is int64 \(3,\), must be integers \[6\]"),
        ({"classes": np.array(["a", "b/../../c"])}, "'b/../../c' holds a slash"),
        ({"classes": np.array(["a", "A"])}, "'a' is there 2 times"),
        ({"classes": np.array(["a", "b", "c"])}, "c has 0 usable of 0"),
        ({"classes": np.array(["a", "b"], dtype=object)}, "holds pickled Python objects.*nothing was executed"),
        ({"labels": None}, "lacks labels"),
        ({"images": np.zeros((6, 5, 4), dtype=np.uint8)}, r"5 pictures occur twice.*images\[0\] = images\[1\]"),
    ],
)
def test_a_stack_that_is_wrong_is_refused(
    project: Project, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    refused(project, stack(tmp_path / "images.npz", **changes), message, "classes")
