"""Imaging mass spectrometry as tables of points: sums around masses by hand, pyimzml's files, and files that lie."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.typing import NDArray

from imzml_files import write_imzml
from project import command_line
from score_contracts import contract
from vaeforge.data import announced_size, imzml_table
from vaeforge.data.file_format import FORMATS, TableRequest
from vaeforge.data.mass_list import mass_words
from vaeforge.data.source_reading import SourceReading
from vaeforge.data.table import Table
from vaeforge.errors import ConfigError, DataError, QuestionError, VaeforgeError
from vaeforge.score.map_table import MapFile

pytestmark = pytest.mark.usefixtures("undrawn")
RNG = np.random.default_rng(4)


def read(path: Path, *masses: str, tolerance: str = "5ppm", normalise: str = "") -> Table:
    found = FORMATS.named("imzml").table
    assert found is not None
    return found(path, TableRequest(masses=masses, tolerance=tolerance, normalise=normalise))


def column(table: Table, name: str) -> list[float]:
    return [float(value) for value in table.columns[name]]


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("inline", [False, True])
def test_values_around_a_mass_are_added(tmp_path: Path, kind: str, packed: bool, inline: bool) -> None:
    path = write_imzml(tmp_path / "a.imzML", kind=kind, packed=packed, inline=inline)
    found = read(path, "PC=100", "200", tolerance="10ppm")  # 100 +- 0.001, 200 +- 0.002
    np.testing.assert_array_equal(column(found, "PC"), [1, 12, 0])
    np.testing.assert_array_equal(column(found, "200"), [3, 0, 0])
    assert column(found, "x") == [1, 2, 1] and column(found, "y") == [1, 1, 2] and "z" not in found.columns
    assert found.channels == ("PC", "200") and list(found.columns["item"]) == ["1 1", "2 1", "1 2"]
    assert "4 spectra (centroids, m/z of their own)" in found.notes[0] and "of 50 x 50 micrometres" in found.notes[0]
    assert "2 of 6 places of the rectangle have none; 1 spectra are empty, and left out" in found.notes[0]


def test_a_mass_between_peaks_has_none_of_them(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML")
    found = read(path, "50", "125", "400", tolerance="1Da")
    for name in found.channels:
        assert not np.nansum(column(found, name))
    assert any("3 of 3 masses have no peak in any spectrum: 50, 125, 400" in note for note in found.notes)


def test_tolerances_are_relative_or_not_and_shared_peaks_are_said(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML")
    assert column(read(path, "200", tolerance="4ppm"), "200")[0] == 0
    assert column(read(path, "200", tolerance="6 PPM"), "200")[0] == 3
    assert column(read(path, "200", tolerance="0.0005Da"), "200")[0] == 0
    near = read(path, "150", "150.5", tolerance="0.3da")
    assert "1 pairs of masses lie so near that a peak counts in both, the first 150 and 150.5" in near.notes[-1]


def test_shares_of_the_total_do_not_depend_on_other_pixels(tmp_path: Path) -> None:
    found = read(write_imzml(tmp_path / "a.imzML"), "100", "150", tolerance="10ppm", normalise="tic")
    np.testing.assert_allclose(column(found, "100"), [1e6 / 6, 12e6 / 28, 0])
    np.testing.assert_allclose(column(found, "150"), [2e6 / 6, 0, 1e6])


def test_all_masses_of_a_continuous_file(tmp_path: Path) -> None:
    axis = [100.0, 200.0, 200.001]
    pixels = [((x, 1, 1), (axis, [x, 2 * x, 3 * x])) for x in (1, 2, 3)]
    path = write_imzml(tmp_path / "a.imzML", pixels, continuous=True)
    found = read(path, "all", tolerance="")
    assert found.channels == ("100", "200", "200.001") and "the same m/z in all" in found.notes[0]
    assert column(found, "200.001") == [3, 6, 9] and column(found, "100") == [1, 2, 3]
    with pytest.raises(DataError, match=r"--masses all: its spectra have m/z of their own"):
        read(write_imzml(tmp_path / "b.imzML"), "all")


def test_values_in_any_order_of_mass(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML", [((1, 1), ([300.0, 100.0], [7.0, 2.0])), ((2, 1), ([100.0], [1.0]))])
    assert column(read(path, "100"), "100") == [2, 1] and column(read(path, "300"), "300") == [7, 0]


@pytest.mark.parametrize("mode", ["continuous", "processed"])
def test_files_of_pyimzml_are_read_value_by_value(tmp_path: Path, mode: str) -> None:
    writer = pytest.importorskip("pyimzml.ImzMLWriter").ImzMLWriter
    parser = pytest.importorskip("pyimzml.ImzMLParser").ImzMLParser
    axis = np.sort(RNG.uniform(400, 900, 300))
    with writer(str(tmp_path / "a.imzML"), mode=mode) as file:
        for place in range(20):
            own = axis if mode == "continuous" else np.sort(RNG.uniform(400, 900, 200 + place))
            file.addSpectrum(own, RNG.exponential(size=len(own)), (place % 5 + 1, place // 5 + 1, 1))
    masses = [450.0, 612.5, 899.0]
    found = read(tmp_path / "a.imzML", *map(str, masses), tolerance="1.5Da")
    known = parser(str(tmp_path / "a.imzML"))
    for row in range(20):
        own, values = known.getspectrum(row)
        expected = [values[np.abs(own - mass) <= 1.5].sum(dtype=np.float64) for mass in masses]
        np.testing.assert_allclose([found.columns[name][row] for name in found.channels], expected, rtol=1e-9)
    known.m.close()


@pytest.mark.parametrize(
    ("masses", "tolerance", "kind", "said"),
    [
        ((), "", QuestionError, "holds 4 spectra; say which masses are channels: --masses"),
        (("100",), "", QuestionError, "say how far a peak may lie from its mass: --tolerance 5ppm"),
        (("100",), "5", ConfigError, "--tolerance: got '5', must be a number above 0 with its unit"),
        (("100",), "0ppm", ConfigError, "--tolerance: got '0ppm'"),
        (("PC", "100"), "5ppm", ConfigError, "--masses: got 'PC', must be an m/z above 0"),
        (("-3",), "5ppm", ConfigError, "--masses: got '-3'"),
        (("a=1", "a=2"), "5ppm", ConfigError, "--masses: 'a' occurs twice"),
        (("x=100",), "5ppm", DataError, "--masses: x are names of places"),
    ],
)
def test_what_is_not_said_is_asked(
    tmp_path: Path, masses: Any, tolerance: str, kind: type[VaeforgeError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        read(write_imzml(tmp_path / "a.imzML"), *masses, tolerance=tolerance)


def test_masses_in_a_file(tmp_path: Path) -> None:
    lists = {
        "a.csv": "name,mz,note\nPC 34:1,760.585,x\n,782.567,y\n",
        "b.tsv": "mz\tname\n760.585\tPC 34:1\n782.567\t\n",
        "c.txt": "760.585\n782.567\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        words = mass_words((str(tmp_path / name),))
        assert words == (("760.585" if name == "c.txt" else "PC 34:1=760.585"), "782.567")
    (tmp_path / "d.csv").write_text("formula,area\nC,x\n")
    (tmp_path / "e.csv").write_text("")
    for name, said in (("d.csv", "has the columns formula, area, must have mz"), ("e.csv", "holds no masses")):
        with pytest.raises(DataError, match=said):
            mass_words((str(tmp_path / name),))
    with pytest.raises(DataError, match="cannot be read as a list of masses"):
        mass_words((str(tmp_path / "none.csv"),))


def changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'IMS:1000102" name="" value="16"',
            'IMS:1000102" name="" value="99999"',
            r"ends at byte 100\d+ of a\.ibd, which",
        ),
        ('IMS:1000103" name="" value="3"', 'IMS:1000103" name="" value="900000000000"', "ends at byte|as many"),
        ('IMS:1000102" name="" value="16"', 'IMS:1000102" name="" value="-16"', "begins at byte -16"),
        ('IMS:1000103" name="" value="3"', 'IMS:1000103" name="" value="2"', "has 2 m/z and 3 intensities"),
        ('IMS:1000050" name="" value="1"', 'IMS:1000050" name="" value="one"', "cannot be read as imzML"),
        ("IMS:1000050", "IMS:1", "lacks m/z, intensities or a position"),
        ("MS:1000523", "MS:1", "of a type or packing that is not read"),
        ("MS:1000576", "MS:1002312", "of a type or packing that is not read"),
        ("MS:1000576", "MS:1000574", "cannot be unpacked|announces"),
        ("{12345678", "{12345679", r"a\.ibd is not its file of values: their UUIDs differ"),
        ("UTF-8", "UTF-X", "cannot be read as imzML"),
        ("</run>", "</ran>", "cannot be read as imzML"),
    ],
)
def test_files_that_lie_are_refused_in_one_sentence(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = changed(write_imzml(tmp_path / "a.imzML"), old, new)
    with pytest.raises(DataError, match=said) as caught:
        read(path, "100")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_packed_is_not_unpacked_beyond_what_is_announced(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML", [((1, 1), ([0.0] * 100_000, [1.0] * 100_000))], packed=True)
    changed(path, 'IMS:1000103" name="" value="100000"', 'IMS:1000103" name="" value="3"')
    changed(path, 'IMS:1000103" name="" value="100000"', 'IMS:1000103" name="" value="3"')
    with pytest.raises(DataError, match="announces 24 bytes, holds others"):
        read(path, "100")


def test_entities_are_not_looked_at(tmp_path: Path) -> None:
    kinds = '<!DOCTYPE mzML [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    with pytest.raises(DataError, match="declares a document type"):
        read(write_imzml(tmp_path / "a.imzML", before=kinds), "100")


def test_a_file_without_its_values_and_one_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_imzml(tmp_path / "a.imzML")
    monkeypatch.setattr(imzml_table, "VALUES_LIMIT", 3)
    with pytest.raises(DataError, match=r"4 spectra x 1 masses, at most 3 values are read"):
        read(path, "100")
    monkeypatch.undo()
    monkeypatch.setattr(announced_size, "SMALL", 3)
    monkeypatch.setattr(announced_size, "job_memory", lambda: 3)
    with pytest.raises(DataError, match=r"takes .* at once"):
        read(path, "100")
    path.with_suffix(".ibd").unlink()
    with pytest.raises(DataError, match=r"its values lie in a\.ibd, which is not beside it"):
        read(path, "100")


def tissue(path: Path, seed: int = 0) -> tuple[Path, NDArray[np.float64]]:
    """A section of 12 x 12 pixels with three lipids [144, 3] in bands, one pixel missing and one empty."""
    rng = np.random.default_rng(seed)
    pixels: list[Any] = []
    values = []
    for place in range(12 * 12):
        x, y = place % 12 + 1, place // 12 + 1
        own = rng.exponential(size=3) * [x, y, 5] + 1
        if place != 7:
            values.append(own)
            pixels.append(((x, y), ([700.0, 760.585 + 0.0003 * rng.normal(), 800.0, 900.0], [*own, 3.0])))
    return write_imzml(path, pixels), np.array(values)


@pytest.mark.long
def test_a_section_goes_all_the_way_and_is_scored_as_it_was_read(tmp_path: Path) -> None:
    from scoring import imported, scored

    _, values = tissue(tmp_path / "set/brain.imzML")
    (tmp_path / "lipids.csv").write_text("mz,name\n700,one\n760.585,PC 34:1\n800,two\n")
    said = command_line(tmp_path, "inspect", "set", "--family", "lipid")
    assert said.code == 2 and "--masses 760.585" in said.stdout + said.stderr
    options = ("--masses", "lipids.csv", "--tolerance", "5ppm", "--normalise", "tic")
    looked = command_line(tmp_path, "inspect", "set", "--family", "lipid", *options)
    assert looked.code == 0, looked.stdout + looked.stderr
    assert "143 spectra (centroids" in " ".join((looked.stdout + looked.stderr).split())
    bundle, _ = imported(tmp_path, "lipid", "set", *options, "--track", "false")
    table = pandas.read_parquet(tmp_path / "data/lipid/set/points.parquet")
    assert [*table.columns][:3] == ["x", "y", "z"] and [*table.columns][3:] == ["one", "PC 34:1", "two"]
    shares = 1e6 * values / (values.sum(axis=1, keepdims=True) + 3)
    np.testing.assert_allclose(table[["one", "PC 34:1", "two"]], shares, rtol=1e-5)
    assert not (tmp_path / "data/lipid/set/.import/quarantine.csv").read_text().count(".ibd")
    contract = (bundle / "contract.json").read_text()
    assert '"PC 34:1=760.585"' in contract and '"5ppm"' in contract and '"tic"' in contract
    found = scored(tmp_path, "set/brain.imzML")
    plain = scored(tmp_path, "data/lipid/set/points.parquet")
    np.testing.assert_allclose(found["score"], plain["score"], rtol=1e-5)
    assert len(found["score"]) == 143 and np.isfinite(found["score"]).all()


def test_maps_are_the_masses_of_the_import(tmp_path: Path) -> None:
    """An empty spectrum is no point here either: the import has left it out."""
    path = write_imzml(tmp_path / "a.imzML")
    maps = contract("points", family="lipid", prepare={"log1p": False, "scaling": "minmax"})
    (rows,) = MapFile(path, maps, reading=SourceReading(masses=("a=100", "b=150"), tolerance="10ppm")).rows(0, 5)
    assert rows.names == ["a", "b"]
    np.testing.assert_allclose(rows.x, [[1 / 12, 1, 0], [2 / 5, 0, 1]], rtol=1e-6)


def test_options_of_spectra_do_nothing_elsewhere(tmp_path: Path) -> None:
    pandas.DataFrame({"x": [1, 2], "y": [1, 2], "a": [1, 2]}).to_csv(tmp_path / "a.csv", index=False)
    done = command_line(tmp_path, "import", "a.csv", "--family", "lipid", "--masses", "100", "--track", "false")
    assert done.code == 2 and "--masses: says how spectra are read, but" in done.stderr
