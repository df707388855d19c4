"""A folder per class: whole pictures are divided, nothing is used twice, and what is unusable is named."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaeforge.data.groups import write_groups
from vaeforge.data.layouts.pictures import read_split
from vaeforge.data.layouts.pictures.class_folders import find_pictures, is_normal, read_folders
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.data.layouts.pictures.split import Split
from vaeforge.errors import DataError

SETTINGS = PictureSettings(size=16, margin=16, validation=0.2, test=0.3)


def add(folder: Path, count: int, first: int = 0, size: tuple[int, int] = (40, 30)) -> None:
    """Pictures of one colour each; picture number n is (n, 2n, 3n) all over."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        Image.new("RGB", size, (number, 2 * number, 3 * number)).save(folder / f"{number}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "normal", 20)
    add(tmp_path / "polyps", 8, first=50)
    return tmp_path


def read(folder: Path, **settings: Any) -> Split:
    return read_folders(folder, SETTINGS.model_copy(update=settings), skip=set())


def numbers(items: list[Any]) -> list[int]:
    return [int(item[0, 0, 0]) for item in items]


def test_every_normal_picture_is_in_exactly_one_split(folder: Path) -> None:
    split = read(folder)
    normal = [p for p, label in zip(split.test, split.labels, strict=True) if label == 0]
    assert sorted(numbers([*split.train, *split.validation, *normal])) == list(range(20))
    assert [len(items) for items in (split.train, split.validation, normal)] == [10, 4, 6]


def test_the_test_is_balanced_and_each_picture_a_group(folder: Path) -> None:
    split = read(folder)
    assert split.labels == [0] * 6 + [1] * 6
    assert len(set(split.groups)) == 12
    assert all(number >= 50 for number in numbers(split.test[6:]))
    assert split.groups[6] == f"polyps/{numbers(split.test[6:7])[0]}.png"


def test_normal_pictures_that_the_test_has_no_match_for_train(folder: Path) -> None:
    shutil.rmtree(folder / "polyps")
    add(folder / "polyps", 2, first=50)
    split = read(folder)
    assert (split.labels, len(split.validation), len(split.train)) == ([0, 0, 1, 1], 4, 14)


def test_the_seed_decides_and_repeats(folder: Path) -> None:
    first, again, other = read(folder), read(folder), read(folder, seed=1)
    assert first.groups == again.groups and numbers(first.train) == numbers(again.train)
    assert sorted(numbers(first.train)) != sorted(numbers(other.train))


def test_training_and_evaluation_frame_alike(tmp_path: Path) -> None:
    """A wide picture: its sides are cut off; black outside the inner half of the square that remains."""
    rng = np.random.default_rng(0)
    for name, level in (("normal", 200), ("polyps", 100)):
        add(tmp_path / name, 0)
        for number in range(10):
            pixels = np.zeros((32, 64, 3), dtype=np.uint8)
            pixels[:, :16] = pixels[:, 48:] = 255
            pixels[8:24, 24:40] = rng.integers(level, level + 56, (16, 16, 1))
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    split = read(tmp_path)
    assert {item.shape for item in split.train} == {(3, 32, 32)}
    assert {item.shape for item in [*split.validation, *split.test]} == {(3, 16, 16)}
    assert min(item.min() for item in split.validation) >= 200
    assert max(item[:, 8, 0].max() for item in split.train) == 0
    assert min(item[:, 16, 16].min() for item in split.train) >= 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [("normal", True), ("Normal", True), ("normal-cecum", True), ("abnormal", False), ("normals", False)],
)
def test_which_names_are_normal(name: str, expected: bool) -> None:
    assert is_normal(name) is expected


def test_classes_may_lie_one_folder_deeper(folder: Path, tmp_path: Path) -> None:
    add(tmp_path / "kvasir/normal-pylorus", 3, first=30)
    found = find_pictures(folder, skip=set())
    assert {name: len(paths) for name, paths in found.items()} == {"normal": 20, "polyps": 8, "normal-pylorus": 3}


def test_unreadable_pictures_are_left_out_and_listed(folder: Path) -> None:
    (folder / "normal/cut.png").write_bytes((folder / "normal/3.png").read_bytes()[:40])
    (folder / "polyps/text.jpg").write_text("no picture")
    split = read(folder)
    assert set(split.quarantined) == {"normal/cut.png", "polyps/text.jpg"}
    assert "cannot be read" in split.quarantined["normal/cut.png"]
    assert len(split.train) == 10


def test_hidden_files_and_folders_are_passed_over(folder: Path) -> None:
    (folder / "normal/._1.png").write_bytes(b"resource fork")
    (folder / ".checkpoints").mkdir()
    assert read(folder).quarantined == {}


def test_the_same_picture_twice_is_refused(folder: Path) -> None:
    shutil.copy(folder / "normal/3.png", folder / "polyps/copy.png")
    with pytest.raises(DataError, match=r"1 picture\(s\) occur twice.*normal/3\.png = polyps/copy\.png"):
        read(folder)


def test_a_folder_without_pictures_is_refused(folder: Path) -> None:
    (folder / "ulcer").mkdir()
    with pytest.raises(DataError, match="ulcer: holds no pictures"):
        read(folder)


@pytest.mark.parametrize(("readable", "damaged"), [(1, 0), (0, 2), (1, 1)])
def test_a_class_needs_two_readable_pictures(folder: Path, readable: int, damaged: int) -> None:
    add(folder / "ulcer", readable, first=80)
    for number in range(damaged):
        (folder / f"ulcer/damaged{number}.png").write_bytes(b"")
    wanted = rf"class 'ulcer' has {readable} readable picture\(s\) of {readable + damaged}"
    with pytest.raises(DataError, match=wanted):
        read(folder)


def test_a_picture_outside_of_class_folders_is_refused(folder: Path) -> None:
    shutil.move(folder / "normal/0.png", folder / "0.png")
    with pytest.raises(DataError, match=r"0\.png: lies in no class folder"):
        read(folder)


def test_normal_pictures_alone_are_divided_by_the_shares(folder: Path) -> None:
    """Of 20, round(0.3 * 20) = 6 test and round(0.2 * 20) = 4 validate."""
    shutil.rmtree(folder / "polyps")
    split = read(folder)
    assert (split.labels, len(split.validation), len(split.train)) == ([0] * 6, 4, 10)
    assert sorted(numbers([*split.train, *split.validation, *split.test])) == list(range(20))
    assert (split.counts()["test_anomalous"], split.counts()["test_anomalous_groups"]) == (0, 0)


def test_groups_of_normal_pictures_alone_are_in_one_part(folder: Path) -> None:
    """Ten people of two pictures each: whole people go to each part, and the shares hold."""
    shutil.rmtree(folder / "polyps")
    write_groups(folder, {f"normal/{number}.png": f"person {number // 2}" for number in range(20)})
    split = read(folder)
    parts = [{number // 2 for number in numbers(items)} for items in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10
    assert [len(items) for items in (split.train, split.validation, split.test)] == [10, 4, 6]


def test_anomalous_pictures_that_may_not_be_tested_leave_nothing_to_test(folder: Path) -> None:
    """All anomalous pictures are of people who train or validate: that is no data set of normal pictures alone."""
    people = {f"normal/{number}.png": f"person {number % 5}" for number in range(20)}
    parts = dict.fromkeys(people, "train") | {f"polyps/{number}.png": "train" for number in range(50, 58)}
    parts |= {f"normal/{number}.png": "test" for number in range(20) if number % 5 == 4}
    write_groups(folder, people | {f"polyps/{number}.png": "person 0" for number in range(50, 58)})
    write_groups(folder, parts, "parts.csv", "part")
    with pytest.raises(DataError, match="nothing for test_anomalous"):
        read_split(folder, SETTINGS)


def test_too_few_normal_pictures_are_refused(folder: Path) -> None:
    shutil.rmtree(folder / "normal")
    add(folder / "normal", 2)
    with pytest.raises(DataError, match=r"2 normal picture\(s\) in 2 group\(s\) cannot be divided"):
        read(folder)


def test_a_folder_that_is_skipped_is_no_class(folder: Path) -> None:
    add(folder / "tissue", 1, first=90)
    split = read_folders(folder, SETTINGS, skip={folder / "tissue"})
    assert 90 not in numbers([*split.train, *split.validation, *split.test])


def textured(path: Path, seed: int) -> Image.Image:
    """A picture with structure of its own."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    picture = Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return picture


def test_a_picture_and_its_jpeg_lie_in_one_part(tmp_path: Path) -> None:
    """Each of 20 normal pictures is there as PNG and as JPEG: 20 groups, none of them in two parts."""
    for number in range(20):
        textured(tmp_path / f"normal/{number}.png", number).save(tmp_path / f"normal/{number}.jpg", quality=70)
        textured(tmp_path / f"polyps/{number}.png", 100 + number)
    split = read(tmp_path)
    pairs = [group for group, label in zip(split.groups, split.labels, strict=True) if label == 0]
    assert len(pairs) == 2 * len(set(pairs)) == 12
    assert (len(split.validation), len(split.train)) == (8, 20)


def test_people_are_never_on_both_sides(tmp_path: Path) -> None:
    """Eight people with four normal and two anomalous pictures each; anomalous ones of those who train stay out."""
    people = {}
    for person in range(8):
        for number in range(6):
            name = f"{'normal' if number < 4 else 'polyps'}/{person}_{number}.png"
            textured(tmp_path / name, 10 * person + number)
            people[name] = f"person {person}"
    write_groups(tmp_path, people)
    split = read(tmp_path)
    tested = set(split.groups)
    assert all(name.startswith("person") for name in tested)
    # 16 anomalous pictures allow 10 normal ones (0.3 of 32): 2 or 3 people, whose other pictures are tested alone
    normal = sum(label == 0 for label in split.labels)
    assert normal == 4 * len(tested) and len(split.train) + len(split.validation) + normal == 32
    assert split.apart == 16 - 2 * len(tested)
