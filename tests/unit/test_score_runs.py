"""Scoring as a whole: what it writes, what it refuses, what it survives, and that nothing depends on how it went."""

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from scoring import score, scores_of, torch_scores, untrained, write_bundle
from vaeforge.errors import DataError
from vaeforge.package.bundle import Bundle
from vaeforge.records import to_json
from vaeforge.score import step
from vaeforge.score.batches import Values
from vaeforge.score.error_maps import path_of, write_map
from vaeforge.score.manifest import ScoreCounts, read_score_manifest
from vaeforge.score.model import Scored, Scorer
from vaeforge.score.resume_state import locked_output
from vaeforge_models.vae import VAE

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> VAE:
    return untrained("endoscopy")


@pytest.fixture(scope="module")
def bundle(model: VAE, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("endoscopy"), "endoscopy", model, threshold=0.03)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Thirty pictures of a sample's size, the later ones of more contrast."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(30):
        pixels = rng.integers(100 - 3 * number, 156 + 3 * number, (32, 32, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02d}.png")
    return folder


def reasons(folder: Path) -> dict[str, str]:
    with (folder / "quarantine.csv").open(newline="") as file:
        return {row["item"]: row["reason"] for row in csv.DictReader(file)}


def test_results_say_what_was_scored(model: VAE, bundle: Bundle, images: Path, tmp_path: Path) -> None:
    outcome = score(bundle, images, tmp_path / "out", pictures="sample")
    found, manifest = scores_of(tmp_path / "out"), outcome.manifest
    x = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in sorted(images.iterdir())])
    np.testing.assert_allclose(found["score"], torch_scores(model, x), rtol=1e-4)
    assert found["is_anomaly"].tolist() == (found["score"] > 0.03).tolist()
    assert 0 < manifest.counts.anomalous < 30 and manifest.counts.anomalous == found["is_anomaly"].sum()
    assert list(found) == ["item", "score", "is_anomaly", "rate", *(f"mu_{n}" for n in range(5))]
    assert manifest.graph.sha256 == bundle.graph().sha256 and manifest.counts.scored == 30
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == to_json(manifest)
    assert read_score_manifest(tmp_path / "out") == manifest and to_json(manifest)["counts"]["strange"] > 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == [
        *("manifest.json", "quarantine.csv", "scores.parquet", "state.json")
    ]


def test_the_rate_is_that_of_the_posterior(model: VAE, bundle: Bundle, images: Path, tmp_path: Path) -> None:
    score(bundle, images, tmp_path / "out", pictures="sample")
    x = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in sorted(images.iterdir())])
    with torch.no_grad():
        posterior = model.encode(model.normalise(torch.from_numpy(x.astype(np.float32))), torch.zeros(30, 0))
        normal = torch.distributions.Normal(posterior.mu, (0.5 * posterior.logvar).exp())
        expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0, 1)).sum(1)
    np.testing.assert_allclose(scores_of(tmp_path / "out")["rate"], expected.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_neither_batch_nor_threads_nor_format_change_results(
    bundle: Bundle, images: Path, tmp_path: Path, batch: int
) -> None:
    (images / "05.png").write_bytes(b"no picture")
    score(bundle, images, tmp_path / "one", pictures="sample")
    score(bundle, images, tmp_path / "other", pictures="sample", batch=batch, threads=2, format="csv")
    one, other = scores_of(tmp_path / "one"), scores_of(tmp_path / "other")
    assert one["item"].tolist() == other["item"].tolist() and len(one["item"]) == 29
    for name in (name for name in one if name != "item"):
        np.testing.assert_allclose(one[name].astype(float), other[name].astype(float), rtol=1e-5, atol=1e-6)


def test_the_mean_of_an_error_map_is_the_score(bundle: Bundle, images: Path, tmp_path: Path) -> None:
    outcome = score(bundle, images, tmp_path / "out", pictures="sample", error_maps=True)
    found = scores_of(tmp_path / "out")
    for item, value in zip(found["item"], found["score"], strict=True):
        pixels = np.asarray(Image.open(tmp_path / "out" / "error_maps" / f"{item}.png"))
        assert pixels.shape == (32, 32) and pixels.dtype == np.uint16
        assert abs(pixels.mean() / 65535 - value) < 1 / 131070 + 1e-6
        seen = np.asarray(Image.open(tmp_path / "out" / "error_pictures" / f"{item}.png"))  # for the eye
        assert seen.shape == (32, 64, 3)
        assert (seen[:, :32] == np.asarray(Image.open(images / item).convert("RGB"))).all()
        assert seen[:, 32:].max() > 50
        order = np.argsort(pixels, axis=None)
        assert (np.diff(seen[:, 32:].sum(axis=-1).ravel()[order].astype(int)) >= -1).all()  # brighter is farther off
    assert outcome.manifest.error_maps is not None and outcome.manifest.error_maps.clipped_pixels == 0


def test_bad_pictures_are_quarantined(bundle: Bundle, images: Path, tmp_path: Path) -> None:
    whole = (images / "00.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    (images / "text.png").write_text("no picture")
    (images / "empty.png").write_bytes(b"")
    Image.new("1", (10_000, 10_000)).save(images / "bomb.png")
    Image.new("F", (32, 32)).save(images / "deep.tif")
    outcome = score(bundle, images, tmp_path / "out", batch=3)
    assert set(reasons(tmp_path / "out")) == {"cut.png", "text.png", "empty.png", "bomb.png", "deep.tif"}
    assert outcome.manifest.counts.quarantined == 5 and outcome.manifest.counts.scored == 30
    assert "100000000 pixels" in reasons(tmp_path / "out")["bomb.png"]


def test_bad_rows_are_quarantined(bundle: Bundle, tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(0, 255, (6, 3, 32, 32))
    x[1, 0, 3, 4], x[3, 2], x[5, 1, 1, 1] = np.nan, np.inf, 1e300
    np.save(tmp_path / "x.npy", x)
    score(bundle, tmp_path / "x.npy", tmp_path / "out")
    assert scores_of(tmp_path / "out")["item"].tolist() == ["0", "2", "4"]
    assert reasons(tmp_path / "out") == {
        "1": "1 of 3072 values are NaN or infinite",
        "3": "1024 of 3072 values are NaN or infinite",
        "5": "1 of 3072 values are NaN or infinite",
    }


def test_bad_files_are_quarantined(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    good = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    np.save(source / "a_good.npy", good)
    np.save(source / "b_shape.npy", good[:, :, :16])
    np.save(source / "c_text.npy", np.array(["a", "b"]))
    np.save(source / "d_pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    (source / "e_cut.npz").write_bytes(b"PK\x03\x04 and nothing more")
    np.savez(source / "f_keys.npz", y=good)
    np.savez(source / "g_damaged.npz", x=good)
    content = bytearray((source / "g_damaged.npz").read_bytes())
    content[-2000] ^= 255
    (source / "g_damaged.npz").write_bytes(content)
    score(bundle, source, tmp_path / "out", batch=8)
    found, bad = scores_of(tmp_path / "out")["item"].tolist(), reasons(tmp_path / "out")
    assert found == [f"{name}/{n}" for name, count in (("a_good.npy", 20), ("g_damaged.npz", 16)) for n in range(count)]
    assert list(bad)[:5] == ["b_shape.npy", "c_text.npy", "d_pickle.npy", "e_cut.npz", "f_keys.npz"]
    assert list(bad)[5:] == [f"g_damaged.npz/{n}" for n in range(16, 20)]
    assert "must be numbers [N, 3, 32, 32]" in bad["b_shape.npy"] and "nothing was executed" in bad["d_pickle.npy"]
    assert "Bad CRC" in bad["g_damaged.npz/17"]


def test_bad_rows_of_a_csv_are_quarantined(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    series = write_bundle(tmp_path_factory.mktemp("fmri"), "fmri", untrained("fmri"))
    rows = [[f"{value:.3f}" for value in row] for row in np.random.default_rng(0).normal(size=(5, 24))]
    rows[1][4], rows[2], rows[3][0] = "much", rows[2][:-1], ""
    text = "\n".join(";".join(row) for row in [[f"v{n}" for n in range(24)], *rows])
    (tmp_path / "series.csv").write_text(text)
    score(series, tmp_path / "series.csv", tmp_path / "out")
    assert scores_of(tmp_path / "out")["item"].tolist() == [0, 4] or scores_of(tmp_path / "out")["item"].tolist() == [
        "0",
        "4",
    ]
    assert reasons(tmp_path / "out") == {
        "1": "1 of 24 values are NaN or infinite",
        "2": "has 23 cells, must have 24",
        "3": "1 of 24 values are NaN or infinite",
    }


def test_nothing_usable_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((3, 3, 32, 32), np.nan))
    for _ in range(2):  # a second call reads the parts of the first
        with pytest.raises(DataError, match=r"none of 3 item\(s\) of .* is usable \(0: 3072 of 3072"):
            score(bundle, tmp_path / "x.npy", tmp_path / "out")
        assert len(reasons(tmp_path / "out")) == 3 and not (tmp_path / "out" / "manifest.json").exists()
    np.save(tmp_path / "none.npy", np.zeros((0, 3, 32, 32)))
    with pytest.raises(DataError, match="holds no items"):
        score(bundle, tmp_path / "none.npy", tmp_path / "none")


class StopError(Exception):
    """Stands for a crash."""


@pytest.mark.parametrize("after", [1, 4, 9])
def test_an_interrupted_scoring_goes_on_bit_for_bit(
    bundle: Bundle, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(step, "PART_ROWS", 6)
    (images / "07.png").write_bytes(b"no picture")
    score(bundle, images, tmp_path / "whole", pictures="sample", batch=3)
    run, calls = Scorer.run, []

    def stopping(self: Scorer, x: Values, condition: Values) -> Scored:
        calls.append(len(x))
        if len(calls) == after:
            raise StopError
        return run(self, x, condition)

    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(Scorer, "run", stopping)
        score(bundle, images, tmp_path / "cut", pictures="sample", batch=3)
    done = len(list((tmp_path / "cut" / "parts").glob("part-*")))
    outcome = score(bundle, images, tmp_path / "cut", pictures="sample", batch=3, threads=2)
    assert done == (after - 1) // 2
    one, other = scores_of(tmp_path / "whole"), scores_of(tmp_path / "cut")
    assert all((one[name] == other[name]).all() for name in one)
    assert outcome.manifest.counts == ScoreCounts(
        inputs=30, scored=29, anomalous=int(one["is_anomaly"].sum()), quarantined=1, left_out_files=0
    )


def test_parts_of_an_earlier_version_are_gone_on_with(
    bundle: Bundle, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They call the flag and its count `strange`."""
    monkeypatch.setattr("vaeforge.score.step.PART_ROWS", 5)
    score(bundle, images, tmp_path / "whole", pictures="sample")
    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr("vaeforge.score.step._write_results", raise_stop)
        score(bundle, images, tmp_path / "cut", pictures="sample")
    for path in sorted((tmp_path / "cut" / "parts").glob("part-*"))[1:]:
        path.unlink()
    table = pyarrow.parquet.read_table(path := tmp_path / "cut" / "parts" / "part-000000.parquet")
    progress = table.schema.metadata[b"vaeforge"].replace(b'"anomalous"', b'"strange"')
    names = ["strange" if name == "is_anomaly" else name for name in table.column_names]
    old = table.rename_columns(names).replace_schema_metadata({b"vaeforge": progress})
    pyarrow.parquet.write_table(old, path)
    assert "strange" in old.column_names and b'"strange": ' in progress
    outcome = score(bundle, images, tmp_path / "cut", pictures="sample")
    one, other = scores_of(tmp_path / "whole"), scores_of(tmp_path / "cut")
    assert list(one) == list(other) and all((one[name] == other[name]).all() for name in one)
    assert outcome.manifest.counts.anomalous == int(one["is_anomaly"].sum())


def raise_stop(*_: Any) -> None:
    raise StopError


def test_a_complete_scoring_is_not_done_again(bundle: Bundle, images: Path, tmp_path: Path) -> None:
    first = score(bundle, images, tmp_path / "out", pictures="sample")
    changed = (tmp_path / "out" / "scores.parquet").stat().st_mtime_ns
    again = score(bundle, images, tmp_path / "out", pictures="sample", threads=2)
    assert not first.already and again.already and again.manifest == first.manifest
    assert (tmp_path / "out" / "scores.parquet").stat().st_mtime_ns == changed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("added", r"1 file\(s\) of the input added \(new\.png\)"),
        ("removed", r"1 file\(s\) of the input removed \(03\.png\)"),
        ("changed", r"1 file\(s\) of the input changed \(03\.png\)"),
        ("batch", r"options\.reading\.batch was 4, is 5"),
        ("threshold", r"model\.threshold was 0\.03, is 0\.2"),
    ],
)
def test_what_changed_is_told(bundle: Bundle, images: Path, tmp_path: Path, change: str, told: str) -> None:
    score(bundle, images, tmp_path / "out", pictures="sample")
    picture = images / "03.png"
    if change == "added":
        (images / "new.png").write_bytes(picture.read_bytes())
    if change == "removed":
        picture.unlink()
    if change == "changed":
        picture.write_bytes((images / "04.png").read_bytes())
    if change == "threshold":
        contract = json.loads((bundle.folder / "contract.json").read_text()) | {"threshold": 0.2}
        bundle = Bundle(_copy(bundle.folder, tmp_path / "model"))
        (bundle.folder / "contract.json").write_text(json.dumps(contract))
        bundle = Bundle(bundle.folder)
    with pytest.raises(DataError, match=told):
        score(bundle, images, tmp_path / "out", pictures="sample", batch=5 if change == "batch" else 4)


def _copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_a_folder_of_others_is_left_alone(bundle: Bundle, images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds other files \(thesis\.txt\)"):
        score(bundle, images, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    with pytest.raises(DataError, match="is a file, must be a folder"):
        score(bundle, images, tmp_path / "out" / "thesis.txt")
    with locked_output(tmp_path / "taken"), pytest.raises(DataError, match="another process is scoring into"):
        score(bundle, images, tmp_path / "taken")


def test_names_of_items_lead_nowhere_else(bundle: Bundle, tmp_path: Path) -> None:
    for item in ("../../x", "/etc/x", "a/../../b", "..", "a\\b", "é:*?"):
        path = path_of(tmp_path / "maps", item)
        assert path.resolve().is_relative_to(tmp_path / "maps") and path.suffix == ".png"


def test_maps_of_items_with_long_names_are_files_of_their_own(tmp_path: Path) -> None:
    """60 characters of another script are 180 bytes of a file's name, and 540 once they are escaped."""
    items = [f"{'図' * 60}{end}" for end in "ab"]
    for item in items:
        write_map(path_of(tmp_path, item), np.zeros((2, 2), dtype=np.float32))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_compressed_archive_is_never_held_whole(bundle: Bundle, tmp_path: Path) -> None:
    """150 MB of values under a limit of the process's memory that is far less above what it takes to begin with."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": (48_000, 3, 32, 32)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(48):
            file.write(bytes(1000 * 3072))
    program = """
import resource, sys
from pathlib import Path
from vaeforge.package.bundle import Bundle
from vaeforge.score.arrays import ArrayFile
from vaeforge.score.conditions import ClassConditions
contract = Bundle(Path(sys.argv[1])).contract
opened = ArrayFile(Path(sys.argv[2]), contract, ClassConditions(contract, None))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sum(len(rows.names) for rows in opened.rows(0, 64))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, "torch" in sys.modules)
"""
    environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", program, str(bundle.folder), str(tmp_path / "x.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    rows, kilobytes, imported = done.stdout.split()
    assert rows == "48000" and int(kilobytes) < 20_000 and imported == "False"
