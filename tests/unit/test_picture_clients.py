"""One picture, one score, whoever sends it: `score`, `serve`, the documented snippet, and a client with cv2."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tifffile
from fastapi.testclient import TestClient
from PIL import Image

from project import ROOT
from scoring import score, scores_of, untrained, write_bundle
from serving import graph_of
from vaeforge.data.grey_levels import to_levels
from vaeforge.data.pixels import grey_of
from vaeforge.data.resize import centre_of, crop_square, fit_square
from vaeforge.package.bundle import Bundle
from vaeforge.package.contract import PictureInput
from vaeforge.package.contract_writer import ExportedGraph, graph_file
from vaeforge.package.picture_graph import Fit, Framing, write_picture_graph
from vaeforge.package.picture_parity import example_pictures
from vaeforge.paths import read_json, write_json
from vaeforge.records import to_json
from vaeforge.registry.fetch import Fetched
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import load
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.settings import RequestLimits

COUNT = 40
TOLERANCE = 1e-3  # of the score: as docs/models.md says of the graph and of another decoder
CMYK = 0.05  # the same of CMYK in OpenCV, whose RGB is one level brighter
RNG = np.random.default_rng(0)


def scene(height: int, width: int, seed: int) -> np.ndarray[Any, Any]:
    """A smooth colour picture, float from 0 to 1, with a little noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 255.0
    return np.clip(smooth * rng.uniform(0.4, 1) + rng.normal(0, 0.02, smooth.shape), 0, 1)


def write_scene(folder: Path, number: int) -> None:
    """One of eight kinds of files by `number`."""
    kind, pixels = number % 8, scene(480, 640, number)
    eight, path = Image.fromarray((pixels * 255).astype(np.uint8)), folder / f"{number:02}"
    if kind in (0, 1, 2):
        exif = Image.Exif()
        exif[274] = 1 + number % 8
        eight.save(path.with_suffix(".jpg"), quality=92, exif=exif)
    elif kind == 3:
        Image.fromarray((pixels[..., 0] * 65535).astype(np.uint16)).save(path.with_suffix(".png"))
    elif kind == 4:
        tifffile.imwrite(path.with_suffix(".tif"), (pixels[..., 1] * 4000).astype(np.uint16))
    elif kind == 5:
        eight.quantize(64).save(path.with_suffix(".png"))
    elif kind == 6:
        eight.convert("CMYK").save(path.with_suffix(".jpg"), quality=92)
    else:
        channels = (pixels.transpose(2, 0, 1) * 4000).astype(np.uint16)
        names = {"Name": ["DAPI", "GFP", "RFP"]}
        told = {"axes": "CYX", "Channel": names}
        tifffile.imwrite(folder / f"{number:02}.ome.tif", channels, photometric="minisblack", metadata=told)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(COUNT):
        write_scene(folder, number)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    model = untrained("endoscopy")
    write_bundle(folder, "endoscopy", model)
    picture = folder / "picture.onnx"
    write_picture_graph(folder / "model.onnx", picture, Framing("crop", 48, 32, 3))
    contract = read_json(folder / "contract.json", "")
    contract["graphs"]["picture"] = to_json(graph_file(ExportedGraph(picture)))
    known = PictureInput("applied", "RGB", 0.0, None, "", (), "the centre square", "bicubic", 48, 32)
    write_json(folder / "contract.json", contract | {"pictures": to_json(known)})
    mu = np.zeros((20, model.latent_dim), dtype=np.float32)
    np.savez(folder / "reference.npz", score=np.linspace(0, 1, 20, dtype=np.float32), mu=mu)
    return Bundle(folder)


@pytest.fixture(scope="module")
def scored(bundle: Bundle, pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("scored") / "out"
    score(bundle, pictures[0].parent, folder)
    found = scores_of(folder)
    return dict(zip(found["item"], found["score"], strict=True))


def snippets() -> list[str]:
    """The code of the section on whole pictures in docs/models.md."""
    section = (ROOT / "docs/models.md").read_text().split("## A whole picture", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def client(bundle: Bundle, count: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], float]:
    """What the first `count` snippets define as `score_of`, run in the folder of the model."""
    monkeypatch.chdir(bundle.folder)
    names: dict[str, Any] = {}
    for code in snippets()[:count]:
        exec(code, names)
    found: Callable[[str], float] = names["score_of"]
    return found


def agree(
    scored: dict[str, float], pictures: list[Path], other: Callable[[Path], float], ink: float = TOLERANCE
) -> None:
    """Scores within the tolerance; and verdicts by any threshold that does not lie within it."""
    ours = np.array([scored[path.name] for path in pictures])
    theirs = np.array([other(path) for path in pictures])
    is_ink = np.array([int(path.name[:2]) % 8 == 6 for path in pictures])
    assert (np.abs(theirs / ours - 1) <= np.where(is_ink, ink, TOLERANCE)).all()
    ordered = np.sort(ours)
    gaps = np.diff(ordered) / ordered[1:]
    place = 10 + int(np.argmax(gaps[10:30]))  # in the middle, so that both verdicts are there
    threshold = float(ordered[place : place + 2].mean())
    assert 10 < (ours > threshold).sum() < 30
    assert ((ours > threshold) == (theirs > threshold)).all()


@pytest.mark.slow
def test_all_are_scored(scored: dict[str, float]) -> None:
    assert len(scored) == COUNT and len(set(scored.values())) == COUNT


@pytest.mark.slow
def test_a_server_gives_the_same(bundle: Bundle, scored: dict[str, float], pictures: list[Path]) -> None:
    limits = RequestLimits(body=20_000_000, samples=8, requests=2, seconds=60.0)
    with TestClient(build_app(AppState(ActiveModel(load(Fetched(bundle), threads=1)), limits, None))) as opened:

        def answered(path: Path) -> float:
            files = {"file": (path.name, path.read_bytes(), "image/tiff")}
            return float(opened.post("/predict/image", files=files).json()["score"][0])

        agree(scored, pictures, answered)


@pytest.mark.slow
def test_the_documented_snippet_gives_the_same(
    bundle: Bundle, scored: dict[str, float], pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    score_of = client(bundle, 1, monkeypatch)
    agree(scored, pictures, lambda path: score_of(str(path)))


@pytest.mark.slow
def test_a_client_with_cv2_gives_the_same(
    bundle: Bundle, scored: dict[str, float], pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    score_of = client(bundle, 2, monkeypatch)
    agree(scored, pictures, lambda path: score_of(str(path)), ink=CMYK)


@pytest.mark.parametrize(
    ("fit", "side", "centre", "channels"), [("crop", 48, 32, 3), ("pad", 40, 40, 1), ("squash", 40, 40, 1)]
)
@pytest.mark.parametrize("depth", [8, 16])
def test_the_graph_frames_as_pillow_does(
    tmp_path: Path, fit: Fit, side: int, centre: int, channels: int, depth: int
) -> None:
    """Differences of single levels, of 8 or 16 bits, where sums lie near the middle between two; most in noise."""
    onnx.save(graph_of((channels, centre, centre)), tmp_path / "model.onnx")
    write_picture_graph(tmp_path / "model.onnx", tmp_path / "picture.onnx", Framing(fit, side, centre, channels, depth))
    session = onnxruntime.InferenceSession(str(tmp_path / "picture.onnx"), providers=["CPUExecutionProvider"])
    apart = []
    for pixels in example_pictures(12, 1, depth):
        ends = np.array([0, 2**depth - 1], dtype=np.float32)
        x, found = session.run(["x", "score"], {"picture": pixels.astype(np.float32), "range": ends})
        grey = grey_of(pixels)
        sample = centre_of(crop_square(pixels, side), centre) if fit == "crop" else fit_square(grey, side, fit)[None]
        apart.append(np.abs(x[0] * (2**depth - 1) / 255 - sample).ravel())
        assert found[0] == pytest.approx(x.mean(), rel=1e-5)
    levels = np.concatenate(apart)
    assert levels.max() <= 4 and levels.mean() < 0.1


def test_the_graph_takes_any_range(tmp_path: Path) -> None:
    """Values of a camera of 12 bits, and signed ones: the levels are those of prepare, exactly."""
    onnx.save(graph_of((1, 16, 16)), tmp_path / "model.onnx")
    write_picture_graph(tmp_path / "model.onnx", tmp_path / "picture.onnx", Framing("squash", 16, 16, 1))
    session = onnxruntime.InferenceSession(str(tmp_path / "picture.onnx"), providers=["CPUExecutionProvider"])
    for low, high in ((0, 4095), (-1000, 1000)):
        pixels = RNG.integers(low, high + 1, (16, 16, 1))
        ends = np.array([low, high], dtype=np.float32)
        (x,) = session.run(["x"], {"picture": pixels.astype(np.float32), "range": ends})
        np.testing.assert_array_equal(x[0, 0], to_levels(pixels[..., 0], low, high))
