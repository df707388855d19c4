"""Inputs that do not look like the training data: measures by hand, rates by simulation, and the whole command line."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures_of_skimage

from packaged_sample import packaged, prepared_model
from project import SampleProject, command_line
from vaeforge.package.input_check import InputCheck, InputTally
from vaeforge.package.input_statistics import InputStatistics, MeasureRange, measures_of, range_of, scale_of
from vaeforge.package.training_samples import measured
from vaeforge_models.families import families

SKIN = {"prepare__size": 32, "prepare__margin": 16, "prepare__stride": 32}
RANGES = {"brightness": MeasureRange(100, 120, 110, 90, 130)}


def check(share: float = 0.1, score: MeasureRange | None = None) -> InputCheck:
    return InputCheck(InputStatistics(100, share, RANGES), None, score, "the data set ours")


def grey(values: list[float]) -> Any:
    """Flat images [N, 1, 4, 4] of these values."""
    return np.repeat(np.array(values), 16).reshape(len(values), 1, 4, 4)


def test_measures_of_an_image_by_hand() -> None:
    red_and_black = np.zeros((1, 3, 2, 2))
    red_and_black[0, 0] = [[60, 0], [60, 0]]  # channel means 30, 0, 0; of a pixel 60, 0, 60, 0
    found = {name: float(values[0]) for name, values in measures_of(red_and_black, None).items()}
    assert found["brightness"] == 10 and found["contrast"] == pytest.approx(math.sqrt(600 - 100))
    assert (found["red"], found["green"], found["blue"]) == (30, 0, 0)
    assert (found["contrast of red"], found["contrast of blue"]) == (30, 0)
    assert found["colour"] == 30
    assert found["detail"] == 10  # down 0; across 60 in red, 0 in two channels: 20; the mean of 0 and 20
    assert "colour" not in measures_of(grey([3.0]), None)


def test_measures_of_vectors_by_hand() -> None:
    scale = scale_of(np.array([[0.0, 10.0, 5.0], [2.0, 30.0, 5.0]]))  # means 1, 20, 5; sd 1, 10, 0 (taken as 1)
    found = measures_of(np.array([[3.0, 20.0, 5.0]]), scale)
    assert found["mean"][0] == pytest.approx(28 / 3)
    assert found["distance"][0] == pytest.approx(math.sqrt((2**2 + 0 + 0) / 3))


def test_a_range_has_room_by_its_samples() -> None:
    found = range_of(np.array([0.0, 10.0, 5.0, 5.0]), floor=1.0)  # 0.5 + 20 / 4 = 5.5 times 10
    assert (found.least, found.most, found.mean, found.low, found.high) == (0, 10, 5, -55, 65)
    assert range_of(np.full(40, 7.0), floor=2.0).high == 9  # constant in training: the floor alone
    assert range_of(np.linspace(20, 60, 200), floor=1.0).low == 2  # 0.6 times 40 below 20 would be -4


@pytest.mark.parametrize("count", [5, 8, 12, 20, 40, 200, 1000])
def test_a_new_sample_of_the_same_distribution_seldom_lies_outside(count: int) -> None:
    rng = np.random.default_rng(count)
    draws = (rng.standard_normal, rng.standard_exponential, rng.random, lambda size: rng.standard_t(5, size))
    for draw in draws:
        sets = 40_000 // count + 200
        known, new = draw((sets, count)), draw((sets, 100))
        ranges = [range_of(one, floor=0.0) for one in known]
        low, high = (np.array([getattr(one, end) for one in ranges])[:, None] for end in ("low", "high"))
        assert ((new < low) | (new > high)).mean() < (0.0015 if count >= 40 else 0.006)


@pytest.mark.parametrize(
    ("inputs", "outside", "warned"),
    [
        *((1, 0, False), (1, 1, True), (2, 1, False), (2, 2, True), (15, 2, True), (16, 2, False), (16, 3, True)),
        *((43, 3, False), (43, 5, True), (150, 14, False), (150, 15, True)),
    ],
)
def test_how_many_outside_are_too_many(inputs: int, outside: int, warned: bool) -> None:
    values = [200.0] * outside + [110.0] * (inputs - outside)
    told = check().warning(check().tally(grey(values)))
    assert bool(told) == warned
    if warned:
        assert f"{outside:,} of {inputs:,} lie outside of its range (brightness " in told
        assert "training 100 to 120" in told and "the data set ours" in told and "`vaeforge models list`" in told


def test_of_models_that_detect_anomalies_half_may_lie_outside() -> None:
    values = [200.0] * 9 + [110.0] * 11
    assert check(0.1).warning(check().tally(grey(values))) and not check(0.5).warning(check().tally(grey(values)))


def test_batches_together_are_what_they_are_at_once() -> None:
    values = [110.0, 131.0, 80.0, 119.0]
    parts = InputTally()
    for value in values:
        parts = parts.joined(check().tally(grey([value])))
    assert parts == check().tally(grey(values)) and (parts.inputs, parts.outside) == (4, 2)
    assert parts.measures["brightness"].least == 80 and parts.measures["brightness"].most == 131


@pytest.mark.parametrize(("count", "warned"), [(9, False), (10, True)])
def test_scores_far_beyond_those_of_validation_are_told(count: int, warned: bool) -> None:
    judged = check(score=MeasureRange(0.1, 0.2, 0.15, 0.0, 0.3))
    tally = judged.tally(grey([110.0] * count), score=np.full(count, 0.9))
    told = judged.warning(tally)
    assert bool(told) == warned
    assert not warned or ("0.9; the data set ours: 0.1 to 0.2" in told and "nearly all of them are anomalous" in told)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(families()))
def test_fewer_than_one_in_a_hundred_batches_of_held_out_data_is_warned_of(family: str, tmp_path: Path) -> None:
    """Ranges by training samples alone; batches drawn of validation samples, by chance and of neighbours."""
    root = SampleProject(tmp_path, family).root
    _, prepared, trained = prepared_model(root, family, **(SKIN if family == "endoscopy" else {}))
    found = measured(trained)
    assert found.statistics is not None
    judged = InputCheck(found.statistics, found.scale, None, "")
    held_out, rng, warned, batches = np.asarray(prepared.validation.x), np.random.default_rng(0), 0, 0
    for size in (1, 2, 5, 16, 64):
        for _ in range(60):
            start = rng.integers(0, len(held_out) - size + 1)
            for chosen in (rng.integers(0, len(held_out), size), np.arange(start, start + size)):
                warned += bool(judged.warning(judged.tally(held_out[chosen])))
                batches += 1
    assert batches == 600 and warned < 0.01 * batches


@pytest.fixture(scope="module")
def skin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the sample of stained skin, and a packaged model of it."""
    root = SampleProject(tmp_path_factory.mktemp("skin"), "endoscopy").root
    packaged(root, "endoscopy", **SKIN)
    return root


def scored(root: Path, folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    output = root / f"scored-{folder.name}"
    done = command_line(root, "score", "artifacts/export", str(folder), "--json", "--output", str(output), *options)
    assert done.code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["warning"] == json.loads((output / "manifest.json").read_text())["warning"]
    return told, " ".join(done.stderr.split())


@pytest.mark.long
def test_grey_textures_scored_with_the_sample_of_skin_are_warned_of(skin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bricks"
    folder.mkdir()
    Image.fromarray(pictures_of_skimage.brick()[:256, :256]).save(folder / "brick.png")
    told, stderr = scored(skin, folder)
    assert told["counts"]["scored"] == 64 and told["checked"]
    assert "warning: the inputs do not look like the data set skin (the sample)" in stderr
    assert "64 of 64 lie outside of its range" in stderr and "colour 0, training " in stderr
    drifted = command_line(skin, "drift", "artifacts/export", str(Path(told["folder"]) / "scores.parquet"), "--json")
    assert json.loads(drifted.stdout)["warnings"] == [told["warning"]]
    assert "warning: the inputs do not look like" in " ".join(drifted.stderr.split())


@pytest.mark.slow
def test_the_samples_own_pictures_are_not(skin: Path, tmp_path: Path) -> None:
    held_out = np.load(skin / "artifacts/prepared/endoscopy/validation.npy")
    folder = tmp_path / "own"
    folder.mkdir()
    for number, image in enumerate(held_out):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number:03d}.png")
    told, stderr = scored(skin, folder)
    assert told["warning"] == "" and "warning" not in stderr and told["seen"]["inputs"] == len(held_out)


@pytest.mark.slow
def test_of_a_model_that_was_packaged_without_statistics_it_is_said_that_nothing_warns(
    skin: Path, tmp_path: Path
) -> None:
    older = shutil.copytree(skin / "artifacts/export", tmp_path / "older")
    contract = json.loads((older / "contract.json").read_text())
    del contract["statistics"]
    (older / "contract.json").write_text(json.dumps(contract))
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    done = command_line(skin, "score", str(older), str(tmp_path / "black.png"), "--output", str(tmp_path / "scored"))
    assert done.code == 0
    assert " ".join(done.stderr.split()).count("was packaged without statistics of its training data") == 1
