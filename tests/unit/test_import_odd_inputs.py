"""Files as laboratories export them: marks of thousands, columns of times, calibrated and copied values."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pandas
import pytest
import tifffile
from PIL import Image

from project import Called, command_line

pytestmark = pytest.mark.usefixtures("undrawn")

Rows = list[list[str]]


def imported(root: Path, source: Path, family: str, code: int = 0, *options: str) -> Called:
    done = command_line(root, "import", str(source), "--family", family, "--name", "own", "--track", "false", *options)
    assert done.code == code, done.stdout + done.stderr
    return done


def points(root: Path) -> pandas.DataFrame:
    return pandas.read_parquet(root / "data/lipid/own/points.parquet")


def said(done: Called) -> str:
    """What was printed, in one line."""
    return " ".join((done.stdout + done.stderr).split())


def places(count: int) -> list[tuple[int, int]]:
    return [(place % 6, place // 6) for place in range(count)]


VALUES = [987.25 + 11.125 * place for place in range(36)]  # from 987.25 to 1,376.625: some below, some above 1,000


def german(value: float) -> str:
    return f"{value:,.3f}".replace(",", "_").replace(".", ",").replace("_", ".")


@pytest.mark.parametrize(
    ("mark", "written", "whole"),
    [(";", german, "{:,}"), (",", lambda value: f'"{value:,.3f}"', '"{:,}"')],
    ids=["1.234,5", "1,234.5"],
)
def test_marks_of_thousands_are_no_decimal_points(
    tmp_path: Path, mark: str, written: Callable[[float], str], whole: str
) -> None:
    rows = [mark.join(("x", "y", "z", "PC", "SM"))]
    counts = [2000 + 7919 * place % 5000 for place in range(36)]
    for (x, y), value, count in zip(places(36), VALUES, counts, strict=True):
        number = whole.format(count)
        number = number.replace(",", ".") if mark == ";" else number
        rows.append(mark.join((f"{x},5" if mark == ";" else f"{x}.5", str(y), "0", written(value), number)))
    table = tmp_path / "table.csv"
    table.write_text("\n".join(rows) + "\n")
    imported(tmp_path, table, "lipid", 0, "--channels", "PC,SM")
    found = points(tmp_path)
    assert found["x"].tolist() == [x + 0.5 for x, _ in places(36)]
    np.testing.assert_allclose(found["PC"], VALUES, rtol=1e-7)
    assert found["SM"].tolist() == counts


@pytest.mark.parametrize("cells", [("0,512", "1,234"), ("1,234", "2,345")], ids=["decimal", "either"])
def test_commas_that_may_be_decimal_ones_between_commas_are_refused(tmp_path: Path, cells: tuple[str, str]) -> None:
    table = tmp_path / "table.csv"
    rows = [f'{x},{y},0,"{cells[x % 2]}"' for x, y in places(36)]
    table.write_text("\n".join(["x,y,z,PC", *rows]) + "\n")
    assert "numbers with commas (1,5) between commas" in said(imported(tmp_path, table, "lipid", 2))


@pytest.mark.parametrize(
    ("header", "step"),
    [("Time (s),1001,1002", 0.72), ("time_sec,1001,1002", 0.72), (None, 0.72), ("time,1001,1002", -1.0)],
)
def test_times_in_the_first_column_are_no_voxel(tmp_path: Path, header: str | None, step: float) -> None:
    """Also where rows are written from the last one on."""
    source = tmp_path / "bold"
    source.mkdir()
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3, 30, 2)).round(4)
    for subject, series in enumerate(values):
        rows = [header] if header else []
        rows += [f"{(29.0 if step < 0 else 0.0) + step * time:.2f},{a},{b}" for time, (a, b) in enumerate(series)]
        (source / f"subject{'abc'[subject]}.csv").write_text("\n".join(rows) + "\n")
    imported(tmp_path, source, "fmri")
    with np.load(tmp_path / "data/fmri/own/timeseries.npz") as found:
        for subject, series in enumerate(values):
            np.testing.assert_allclose(found[f"subject{'abc'[subject]}"], series, rtol=1e-6)


def test_signed_values_as_imagej_writes_them_are_read_as_its_header_says(tmp_path: Path) -> None:
    source = tmp_path / "frames"
    source.mkdir()
    rng = np.random.default_rng(4)
    values = rng.integers(0, 4096, (2, 48, 48))
    values[:, 0, 0] = 4095
    header = "ImageJ=1.53t\ncf=0\nc0=-32768.0\nc1=1.0\nvunit=gray value\n"
    for number, frame in enumerate(values):
        raised = (frame + 32768).astype(np.uint16)
        tifffile.imwrite(source / f"f{number}.tif", raised, byteorder=">", description=header, metadata=None)
    imported(tmp_path, source, "speckle")
    for number, frame in enumerate(values):
        with Image.open(next((tmp_path / "data/speckle/own").glob(f"f{number}*"))) as picture:
            assert (np.asarray(picture) == frame).all()


def sections(root: Path, second: Callable[[pandas.DataFrame], pandas.DataFrame]) -> Path:
    """A table of three sections, the last of them made of the second."""
    rng = np.random.default_rng(5)
    frames = []
    for number in range(2):
        frame = pandas.DataFrame(places(36), columns=["x", "y"]).astype(float)
        frames.append(frame.assign(z=float(number), section=f"s{number}", PC=rng.normal(size=36), SM=rng.random(36)))
    path = root / "table.csv"
    pandas.concat([*frames, second(frames[1].copy()).assign(section="s2", z=2.0)]).to_csv(path, index=False)
    return path


def test_a_section_that_was_exported_twice_is_asked_about(tmp_path: Path) -> None:
    table = sections(tmp_path, lambda frame: frame)
    assert "sections s1; s2 have the same values at half of their points or more" in said(
        imported(tmp_path, table, "lipid", 2)
    )
    imported(tmp_path, table, "lipid", 0, "--yes", "true")


def test_a_section_in_another_unit_is_asked_about(tmp_path: Path) -> None:
    def in_micrometres(frame: pandas.DataFrame) -> pandas.DataFrame:
        return frame.assign(x=1000 * frame.x, y=1000 * frame.y, PC=frame.PC[::-1].to_numpy())

    asked = said(imported(tmp_path, sections(tmp_path, in_micrometres), "lipid", 2))
    assert "x and y of sections s2 reach 1000 times as far as others; are they in another unit?" in asked
    assert "same values" not in asked


def test_classes_that_differ_by_a_date_only_are_asked_about(tmp_path: Path) -> None:
    source = tmp_path / "cilia"
    source.mkdir()
    rng = np.random.default_rng(6)
    for name in ("WT_2023-05-12", "WT_2023-05-17", "KO_2023-05-12"):
        for number in range(3):
            picture = rng.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(picture).save(source / f"{name}_{number}.png")
    asked = said(imported(tmp_path, source, "cilia", 2))
    assert "classes WT_2023-05-12; WT_2023-05-17 differ by a date only" in asked


def test_volumes_of_different_repetition_times_are_asked_about(tmp_path: Path) -> None:
    source = tmp_path / "bold"
    source.mkdir()
    rng = np.random.default_rng(8)
    for subject, (time, unit) in enumerate([(2.0, "sec"), (2000.0, "msec"), (0.8, "sec")]):
        image = nibabel.Nifti1Image(rng.normal(size=(3, 3, 2, 12)).astype(np.float32), np.eye(4))
        image.header.set_zooms((1, 1, 1, time))
        image.header.set_xyzt_units("mm", unit)
        nibabel.save(image, source / f"sub-0{subject}_bold.nii.gz")
    asked = said(imported(tmp_path, source, "fmri", 2))
    assert "timepoints are 0.8 s apart in sub-02_bold.nii.gz and 2 s in sub-00_bold.nii.gz" in asked
    (source / "sub-02_bold.nii.gz").unlink()
    imported(tmp_path, source, "fmri")


def test_a_stain_that_is_shown_in_its_colour_is_asked_about(tmp_path: Path) -> None:
    source = tmp_path / "stained"
    rng = np.random.default_rng(9)
    levels = rng.integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)
    for name, pictures in zip(("wt", "ko"), levels, strict=True):
        (source / name).mkdir(parents=True)
        for number, green in enumerate(pictures):
            coloured = np.stack([np.zeros_like(green), green, np.zeros_like(green)], axis=-1)
            Image.fromarray(coloured).save(source / name / f"{number}.png")
    asked = said(imported(tmp_path, source, "cilia", 2))
    assert "6 of 6 picture(s), the first ko/0.png, have values in green alone: as grey they would keep 59 %" in asked
    assert "give --channels 1 to take that channel" in asked
    imported(tmp_path, source, "cilia", 0, "--channels", "1")
    with Image.open(tmp_path / "data/cilia/own/wt/2.png") as written:
        assert np.array_equal(np.asarray(written), levels[0, 2])


def test_a_volume_whose_header_names_no_unit_of_time_is_imported(tmp_path: Path) -> None:
    source = tmp_path / "bold"
    source.mkdir()
    rng = np.random.default_rng(10)
    for subject in range(3):
        image = nibabel.Nifti1Image(rng.normal(size=(3, 3, 2, 12)).astype(np.float32), np.eye(4))
        image.header["xyzt_units"] = 7  # stands for nothing
        nibabel.save(image, source / f"sub-0{subject}_bold.nii.gz")
    imported(tmp_path, source, "fmri")
    with np.load(tmp_path / "data/fmri/own/timeseries.npz") as archive:
        assert [archive[name].shape for name in archive.files] == [(12, 18)] * 3
