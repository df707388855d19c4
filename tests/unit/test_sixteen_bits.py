"""Pictures of more than 8 bits up to the score: a camera of 12 bits whose structure is one grey level of 4,095.

In 8 bits that structure is not there: 2000 and 2001 of 4,095 are both 125 of 255. In 16 they are 32,007 and 32,023.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tifffile
import torch
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image
from test_pictures_on_the_command_line import prepared, take

from project import command_line
from scoring import score, scores_of, untrained, write_bundle
from vaeforge.data.images import open_grey
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.data.picture_reading import PictureReading
from vaeforge.package.bundle import Bundle
from vaeforge.package.contract import PictureInput
from vaeforge.package.contract_writer import ExportedGraph, graph_file
from vaeforge.package.picture_graph import Framing, write_picture_graph
from vaeforge.paths import read_json, write_json
from vaeforge.records import to_json
from vaeforge.registry.fetch import Fetched
from vaeforge.samples import Samples
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import load
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.settings import RequestLimits

pytestmark = pytest.mark.usefixtures("undrawn")

FLAT, RAISED = 2000, 2001
WHITE_12 = 4095
SIDE, CENTRE = 48, 32


def faint(seed: int, side: int = SIDE) -> NDArray[np.uint16]:
    """A grey picture of two values, one grey level of 4,095 apart, in blocks, with a white corner."""
    blocks = np.random.default_rng(seed).integers(FLAT, RAISED + 1, (side // 8, side // 8)).astype(np.uint16)
    values = blocks.repeat(8, 0).repeat(8, 1)
    values[0, :4] = WHITE_12
    return values


def fine(values: NDArray[Any], white: float = WHITE_12) -> NDArray[np.uint16]:
    """Levels of 16 bits, by the formula in docs/data.md."""
    return np.round(values.astype(np.float64) / white * 65535).astype(np.uint16)


def write_set(root: Path) -> None:
    for number in range(12):
        path = root / "set" / ("normal" if number < 8 else "scratch") / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, faint(number))


@pytest.mark.parametrize(("family", "size"), [("endoscopy", SIDE), ("cilia", SIDE), ("speckle", 16)])
def test_prepared_samples_keep_one_level_of_4095(tmp_path: Path, family: str, size: int) -> None:
    if family == "speckle":
        (tmp_path / "set").mkdir()
        for number in range(3):
            tifffile.imwrite(tmp_path / f"set/{number}.tif", faint(number, 320))
    else:
        write_set(tmp_path)
    said = take(tmp_path, family=family)
    assert "white is 4095" in said and "samples keep 16 bits (--depth 8: 8)" in said
    found = prepared(tmp_path, family, size)
    train = found["train"]
    assert train.dtype == np.uint16
    values = {int(fine(np.array(value))) for value in (FLAT, RAISED)}
    assert values == {32007, 32023} and values <= set(np.unique(train).tolist())
    if family != "speckle":  # of its own, each sample is one of the pictures
        own = {fine(faint(number)).tobytes() for number in range(12)}
        assert {sample[0].tobytes() for sample in found["validation"]} <= own
    given = ("--set", f"prepare.size={size}", "--set", "prepare.depth=8")
    eight = command_line(tmp_path, "prepare", "--family", family, *given)
    if family == "cilia":
        assert eight.code == 2 and "11 image(s) occur twice" in eight.stderr
    else:
        assert eight.code == 0, eight.stderr
        coarse = np.load(tmp_path / f"artifacts/prepared/{family}/train.npy")
        assert coarse.dtype == np.uint8 and not {124, 126} & set(np.unique(coarse).tolist())


def test_files_that_were_not_imported_become_8_bits_and_it_is_said(tmp_path: Path) -> None:
    """What a data set is, and so its identity, depends on its files and settings alone."""
    write_set(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "set").rename(tmp_path / "data/endoscopy")
    options = ("--family", "endoscopy", "--set", "prepare.size=48", "--set", "prepare.margin=0")
    called = command_line(tmp_path, "prepare", *options)
    assert "samples keep 8 bits of pictures whose white is 4095" in " ".join(called.stdout.split())
    folder = tmp_path / "artifacts/prepared/endoscopy"
    identity = read_json(folder / "manifest.json", "")["data_identity"]
    called = command_line(tmp_path, "prepare", *options, "--set", "prepare.depth=16")
    said = " ".join(called.stdout.split())
    assert "at 48 x 48 in 16 bits: " in said
    assert "samples keep 8 bits" not in said
    assert read_json(folder / "manifest.json", "")["data_identity"] != identity
    assert np.load(folder / "train.npy").dtype == np.uint16


def test_what_a_depth_may_be_is_said(tmp_path: Path) -> None:
    write_set(tmp_path)
    assert "--depth: got '12', must be auto, 8 or 16" in take(tmp_path, "--depth", "12", code=2)
    assert not (tmp_path / "data").exists()


def test_settings_without_a_depth_say_what_they_said() -> None:
    assert "depth" not in PictureSettings().model_dump()
    assert PictureSettings(depth=16).model_dump()["depth"] == 16


def test_floats_become_grey_files_of_floats(tmp_path: Path) -> None:
    """PNG has no floats: a third of the range is 21,845 of 65,535, which 8 bits would make 85 * 257."""
    (tmp_path / "set").mkdir()
    for number in range(2):
        values = np.full((320, 320), 1 / 3, dtype=np.float32)
        values[:, ::2] = 0.5 + number / 10000
        tifffile.imwrite(tmp_path / f"set/{number}.tif", values)
    take(tmp_path, "--white", "1", family="speckle")
    (path,) = (tmp_path / "data/speckle/set").glob("1.*")
    assert np.unique(tifffile.imread(path)).tolist() == pytest.approx([21845 / 65535, 32774 / 65535], rel=1e-7)
    train = prepared(tmp_path, "speckle")["train"]
    # 0.5001 * 65535 = 32774.05
    assert set(np.unique(train).tolist()) == {21845, 32768, 32774}


def test_colours_of_8_bits_beside_deeper_ones_are_read_as_they_would_be_scored(tmp_path: Path) -> None:
    """Luma in 16 bits: (19595 * 10 + 38470 * 20 + 7471 * 31) / 65536 = 18.2641 levels are 4694 of 65,535."""
    (tmp_path / "set").mkdir()
    tifffile.imwrite(tmp_path / "set/deep.tif", faint(0, 320))
    colour = np.full((320, 320, 3), (10, 20, 31), dtype=np.uint8)
    colour[:10] = np.random.default_rng(0).integers(0, 255, (10, 320, 3))
    Image.fromarray(colour).save(tmp_path / "set/colour.png")
    take(tmp_path, family="speckle")
    reading = PictureReading(white=4095, depth=16)
    kept, given = (open_grey(tmp_path / place / "colour.png", reading) for place in ("data/speckle/set", "set"))
    assert given[20, 20] == 4694
    np.testing.assert_array_equal(kept, given)


def test_samples_of_16_bits_are_levels_between_0_and_255() -> None:
    stored = np.array([[0, 257, 65535, 128, 32007]], dtype=np.uint16)
    samples = Samples.unconditional(stored)
    exact = [0, 1, 255, 128 / 257, 32007 / 257]
    np.testing.assert_allclose(samples.x[0], exact, rtol=1e-7)
    raw, _ = samples.tensors(slice(None))
    assert raw.dtype == torch.float32 and raw[0, :3].tolist() == [0, 1, 255]
    assert samples.joined(samples)[1:].stored.dtype == np.uint16


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    model = untrained("endoscopy")
    write_bundle(folder, "endoscopy", model)
    write_picture_graph(folder / "model.onnx", folder / "picture.onnx", Framing("crop", SIDE, CENTRE, 3, 16))
    contract = read_json(folder / "contract.json", "")
    contract["graphs"]["picture"] = to_json(graph_file(ExportedGraph(folder / "picture.onnx")))
    known = PictureInput("applied", "RGB", 0.0, WHITE_12, "", (), "", "", SIDE, CENTRE, depth=16)
    write_json(folder / "contract.json", contract | {"pictures": to_json(known)})
    mu = np.zeros((20, model.latent_dim), dtype=np.float32)
    np.savez(folder / "reference.npz", score=np.linspace(0, 1, 20, dtype=np.float32), mu=mu)
    return Bundle(folder)


@pytest.mark.long
def test_one_picture_has_one_score(bundle: Bundle, tmp_path: Path) -> None:
    """By `score`, `serve`, picture.onnx, model.onnx and torch, whose input is v / 4095 to 16 bits."""
    for number in range(4):
        tifffile.imwrite(tmp_path / f"{number}.tif", faint(number))
    score(bundle, tmp_path, tmp_path / "out")
    scores = scores_of(tmp_path / "out")
    scored = dict(zip(scores["item"], scores["score"], strict=True))
    model, edge = untrained("endoscopy"), (SIDE - CENTRE) // 2
    picture_graph, main = (
        onnxruntime.InferenceSession(str(bundle.path(name)), providers=["CPUExecutionProvider"])
        for name in ("picture.onnx", "model.onnx")
    )
    limits = RequestLimits(body=20_000_000, samples=8, requests=2, seconds=60.0)
    with TestClient(build_app(AppState(ActiveModel(load(Fetched(bundle), threads=1)), limits, None))) as client:
        for number in range(4):
            values = faint(number)
            middle = fine(values)[edge:-edge, edge:-edge].astype(np.float32) / 257
            x = np.broadcast_to(middle, (1, 3, CENTRE, CENTRE)).copy()
            share, none = torch.from_numpy(x) / 255, torch.zeros(1, 0)
            with torch.no_grad():
                drawn = model.mean(model.decode(model.encode(share, none).mu, none))
            expected = float((share - drawn).square().mean())
            ends = np.array([0, WHITE_12], dtype=np.float32)
            feeds = {"picture": values[..., None].astype(np.float32), "range": ends}
            files = {"file": ("a.tif", (tmp_path / f"{number}.tif").read_bytes(), "image/tiff")}
            served = client.post("/predict/image", files=files)
            found = [
                scored[f"{number}.tif"],
                float(served.json()["score"][0]),
                float(picture_graph.run(["score"], feeds)[0][0]),
                float(main.run(["score"], {"x": x})[0][0]),
            ]
            assert found == pytest.approx([expected] * 4, rel=1e-5)
    assert len(set(scored.values())) == 4  # in 8 bits all four are one flat picture, and one score
