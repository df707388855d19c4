"""Odd inputs that laboratories have, each tried without a look at the code first: read as meant, asked, or refused."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas
import pytest
import tifffile
from PIL import Image

from project import command_line
from scoring import imported, scored

pytestmark = pytest.mark.usefixtures("undrawn")

PARCELS = [f"{side}_Vis_{number}" for side in ("LH", "RH") for number in range(1, 5)]
STEPS = 40


def parcels(seed: int) -> pandas.DataFrame:
    values = np.random.default_rng(seed).normal(np.arange(8), 1, (STEPS, 8)).round(4)
    return pandas.DataFrame(values.astype(np.float32), columns=PARCELS)


def folder(root: Path, name: str = "set") -> Path:
    place = root / name
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def take(root: Path, family: str, *options: str, source: str = "set", code: int = 0) -> str:
    done = command_line(root, "import", source, "--family", family, "--track", "false", *options)
    assert done.code == code, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def series_of(root: Path, name: str = "set") -> dict[str, Any]:
    with np.load(root / f"data/fmri/{name}/timeseries.npz") as archive:
        return {key: archive[key] for key in archive.files}


def test_a_table_of_all_people_is_no_series_of_one(tmp_path: Path) -> None:
    people = [parcels(person).assign(subject=person + 1) for person in range(6)]
    pandas.concat(people).to_csv(tmp_path / "all.csv", index=False)
    said = take(tmp_path, "fmri", source="all.csv", code=2)
    assert "column 'subject' names 6 different ones, so the rows are not of one series; write a file for each" in said


def confounds(seed: int) -> pandas.DataFrame:
    table = parcels(seed)
    rng = np.random.default_rng((seed, 1))
    for name in ("global_signal", "framewise_displacement", "csf", "trans_x", "a_comp_cor_00"):
        table.insert(int(rng.integers(0, 8)), name, rng.normal(size=STEPS))
    return table.assign(subject=seed)


@pytest.mark.slow
def test_nuisance_signals_are_no_voxels_and_files_with_them_are_scored_alike(tmp_path: Path) -> None:
    folder(tmp_path).mkdir()
    for person in range(5):
        confounds(person).to_csv(tmp_path / f"set/sub-{person}.csv", index=False)
    imported(tmp_path, "fmri", "set")
    np.testing.assert_array_equal(series_of(tmp_path)["sub-3"], parcels(3))
    confounds(7).to_csv(tmp_path / "with.csv", index=False)
    parcels(7).to_csv(tmp_path / "without.csv", index=False)
    alone = scored(tmp_path, "without.csv")["score"]
    np.testing.assert_array_equal(scored(tmp_path, "with.csv")["score"], alone)
    said = take(tmp_path, "fmri", "--name", "again")
    assert "columns" in said and "csf" in said and "are no voxels, by their names" in said


def test_rows_of_mean_and_std_are_no_timepoints(tmp_path: Path) -> None:
    folder(tmp_path).mkdir()
    for person in range(5):
        table = parcels(person)
        table.insert(0, "vol", [str(step) for step in range(STEPS)])
        table.loc[STEPS] = ["mean", *table[PARCELS].mean()]
        table.to_csv(tmp_path / f"set/sub-{person}.csv", index=False)
    assert "column 'vol' holds 'mean': a row of a summary is no timepoint" in take(tmp_path, "fmri", code=2)


def test_the_first_line_that_excel_writes_is_no_header(tmp_path: Path) -> None:
    folder(tmp_path).mkdir()
    for person in range(5):
        text = parcels(person).to_csv(index=False, sep=";", decimal=",")
        (tmp_path / f"set/sub-{person}.csv").write_text(f"sep=;\n{text}", encoding="utf-8-sig")
    take(tmp_path, "fmri")
    np.testing.assert_array_equal(series_of(tmp_path)["sub-2"], parcels(2))


def test_matrices_of_correlations_beside_series_are_none(tmp_path: Path) -> None:
    """As XCP-D writes them, but without names of rows."""
    for person in range(5):
        start = tmp_path / f"set/sub-{person}_task-rest_seg-4S8_stat"
        start.parent.mkdir(exist_ok=True)
        parcels(person).to_csv(f"{start}-mean_timeseries.tsv", sep="\t", index=False)
        parcels(person).corr().to_csv(f"{start}-pearsoncorrelation_relmat.tsv", sep="\t", index=False)
    take(tmp_path, "fmri")
    assert sorted(len(series) for series in series_of(tmp_path).values()) == [STEPS] * 5


def test_components_beside_series_in_nifti_are_none(tmp_path: Path) -> None:
    for person in range(5):
        start = tmp_path / f"set/sub-{person}_task-rest_desc"
        start.parent.mkdir(exist_ok=True)
        for name, length in (("preproc_bold", 20), ("MELODIC_components", 7)):
            values = np.random.default_rng((person, length)).normal(size=(3, 3, 3, length)).astype(np.float32)
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), f"{start}-{name}.nii.gz")
    take(tmp_path, "fmri")
    assert sorted(len(series) for series in series_of(tmp_path).values()) == [20] * 5


def test_subjects_in_a_third_axis_are_refused_with_the_way_to_write_them(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", np.stack([parcels(person) for person in range(6)]))
    said = take(tmp_path, "fmri", source="all.npy", code=2)
    assert "is float32 (6, 40, 8), must be" in said and "save an array for each subject, by name" in said


def test_cells_below_the_limit_of_detection_are_asked_about(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pandas.DataFrame({"x": rng.normal(size=200), "y": rng.normal(size=200)})
    for name in ("PC 34:1", "PC 36:2", "PE 38:4"):
        table[name] = rng.uniform(0.2, 4, 200).round(3)
    low = table["PC 34:1"] < 0.5
    table["PC 34:1"] = np.where(low, "<0.50", table["PC 34:1"].astype(str))
    table.to_csv(tmp_path / "section.csv", index=False)
    said = take(tmp_path, "lipid", source="section.csv", code=2)
    assert f"beyond a limit: PC 34:1 ({int(low.sum())}, such as '<0.50')" in said
    assert "--yes true: they are missing values" in said
    take(tmp_path, "lipid", "--yes", "true", source="section.csv")


def spotted(path: Path, *seed: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(path)


@pytest.mark.parametrize("names", [("DAPI", "GFP"), ("ch00", "ch01")])
def test_channels_in_files_of_their_own_are_asked_about(tmp_path: Path, names: tuple[str, str]) -> None:
    for label in ("round", "flat"):
        for number in range(6):
            for place, channel in enumerate(names):
                spotted(tmp_path / f"set/{label}/{label}{number}_{channel}.tif", number, place, len(label))
    said = take(tmp_path, "cilia", code=2)
    assert f"flat/flat0_{names[0]}.tif = flat/flat0_{names[1]}.tif" in said
    assert "are they channels of one picture each?" in said
    take(tmp_path, "cilia", "--yes", "true")
    groups = pandas.read_csv(tmp_path / "data/cilia/set/groups.csv")
    assert len(groups) == 24 and groups["group"].nunique() == 12


def test_channels_and_calibration_among_frames_are_asked_about(tmp_path: Path) -> None:
    for number in range(4):
        for channel in range(2):
            spotted(tmp_path / f"set/t{number}_ch{channel:02}.png", number, channel)
    spotted(tmp_path / "set/dark.png", 77)
    spotted(tmp_path / "set/flatfield.png", 78)
    said = take(tmp_path, "speckle", code=2)
    assert "are they channels of one frame each? Import the files of one channel alone" in said
    assert "dark.png; flatfield.png are called as pictures of no object are" in said
    assert said.count("question: ") == 2 and "--groups" not in said


def test_frames_of_films_are_asked_about_and_stay_together(tmp_path: Path) -> None:
    for film in range(8):
        for frame in range(3):
            spotted(tmp_path / f"set/{'normal' if film < 5 else 'polyp'}/vid{film}_frame_{frame:05}.png", film, frame)
    said = take(tmp_path, "endoscopy", code=2)
    assert "8 group(s) of names differ in the number of a frame, slice or tile only" in said
    take(tmp_path, "endoscopy", "--yes", "true")
    assert pandas.read_csv(tmp_path / "data/endoscopy/set/groups.csv")["group"].nunique() == 8


def test_numbers_of_a_class_are_no_film(tmp_path: Path) -> None:
    for label in ("normal", "polyp"):
        for frame in range(6):
            spotted(tmp_path / f"set/{label}/{label}_frame_{frame:05}.png", frame, len(label))
    take(tmp_path, "endoscopy")


def test_a_folder_of_tables_is_no_empty_class(tmp_path: Path) -> None:
    """As VisA lies: Data/Images/Normal, Data/Masks/Anomaly, split_csv."""
    for number in range(12):
        label = "Normal" if number < 8 else "Anomaly"
        spotted(tmp_path / f"set/Data/Images/{label}/{number:03}.png", number)
        if number >= 8:
            mask = np.zeros((48, 48), dtype=np.uint8)
            mask[5:20, 5:20] = 3
            (tmp_path / "set/Data/Masks/Anomaly").mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(tmp_path / f"set/Data/Masks/Anomaly/{number:03}.png")
    (tmp_path / "set/split_csv").mkdir()
    (tmp_path / "set/split_csv/1cls.csv").write_text("image,split\n")
    said = take(tmp_path, "endoscopy")
    assert "normal: Normal (8); anomalous: Anomaly (4)" in said and "4 masks of pictures" in said


def test_levels_of_a_pyramid_are_no_pages(tmp_path: Path) -> None:
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        path = tmp_path / f"set/{'normal' if number < 5 else 'tumour'}/{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        with tifffile.TiffWriter(path) as file:
            file.write(pixels, subifds=1, photometric="rgb", tile=(32, 32))
            file.write(pixels[::2, ::2], subfiletype=1, photometric="rgb", tile=(32, 32))
    assert "8 images, 2 classes" in take(tmp_path, "endoscopy")


def test_folders_called_images_are_no_class_and_nobody(tmp_path: Path) -> None:
    """As Kvasir-SEG lies, for each class: images and masks."""
    for label in ("normal", "polyp"):
        for number in range(8):
            spotted(tmp_path / f"set/{label}/images/{label}{number}.png", number, len(label), ord(label[0]))
            mask = np.zeros((48, 48), dtype=np.uint8)
            mask[10:20, 10:20] = 255 * (label == "polyp")
            (tmp_path / f"set/{label}/masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(tmp_path / f"set/{label}/masks/{label}{number}.png")
    said = take(tmp_path, "endoscopy")
    assert "normal: normal (8); anomalous: polyp (8)" in said and "groups" not in said


def test_numbers_that_stand_for_missing_values_are_asked_about(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pandas.DataFrame({"x": rng.normal(size=200), "y": rng.normal(size=200)})
    for name in ("PC 34:1", "PC 36:2", "PE 38:4"):
        table[name] = rng.uniform(0.2, 4, 200).round(3)
    table.loc[:20, "PC 36:2"] = -999
    table.to_csv(tmp_path / "section.csv", index=False)
    said = take(tmp_path, "lipid", source="section.csv", code=2)
    assert "occurs again and again in PC 36:2 (-999); does it stand for missing values?" in said
    folder(tmp_path).mkdir()
    for person in range(5):
        series = parcels(person)
        series.iloc[3:9, 2] = -9999 if person == 1 else series.iloc[3:9, 2]
        series.to_csv(tmp_path / f"set/sub-{person}.csv", index=False)
    assert "again and again in sub-1 (-9999)" in take(tmp_path, "fmri", code=2)


def test_padded_timepoints_and_other_units_of_series_are_asked_about(tmp_path: Path) -> None:
    folder(tmp_path).mkdir()
    for person in range(5):
        series = parcels(person) * (1000 if person == 3 else 1)
        series.iloc[30:] = 0 if person == 2 else series.iloc[30:]
        series.to_csv(tmp_path / f"set/sub-{person}.csv", index=False)
    said = take(tmp_path, "fmri", code=2)
    assert "all voxels are 0 at some timepoints of sub-2 (10); were these padded?" in said
    assert "values of sub-3 (" in said and "are they in another unit, or normalised otherwise?" in said


def test_augmented_copies_are_asked_about_and_stay_with_their_picture(tmp_path: Path) -> None:
    for label in ("normal", "polyp"):
        for number in range(8):
            path = tmp_path / f"set/{label}/{label}{number}.png"
            spotted(path, number, len(label), ord(label[0]))
            with Image.open(path) as picture:
                picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path.with_name(f"{path.stem}_flip.png"))
                picture.rotate(90).save(path.with_name(f"{path.stem}_rot90.png"))
    said = take(tmp_path, "endoscopy", code=2)
    assert "normal/normal0.png = normal/normal0_flip.png = normal/normal0_rot90.png" in said
    assert "are they augmented copies of one picture each?" in said
    take(tmp_path, "endoscopy", "--yes", "true")
    assert pandas.read_csv(tmp_path / "data/endoscopy/set/groups.csv")["group"].nunique() == 16
