"""Features: the image network reads photographs rightly, and principal components are those of scikit-learn."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as photographs
from sklearn.decomposition import PCA

from vaeforge.errors import CheckpointError, DataError
from vaeforge.evaluation import extractor
from vaeforge.evaluation.extractor import (
    NAME,
    WEIGHTS,
    WEIGHTS_FILE,
    WEIGHTS_SHA256,
    Features,
    ImageExtractor,
    inception_fid,
    load_extractor,
    pca_features,
    published,
    ungrouped,
    why_no_inception,
)

TABBY_TIGER_EGYPTIAN, ESPRESSO = {281, 282, 285}, 967
GROUPS = np.arange(3)


@pytest.fixture(scope="module")
def network() -> ImageExtractor:
    return load_extractor()


def photograph(name: str) -> np.ndarray:
    """Its centre square, [1, 3, S, S]."""
    picture = getattr(photographs, name)()
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return picture[top : top + side, left : left + side].transpose(2, 0, 1)[None]


def noise(count: int = 3, channels: int = 3, side: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def test_it_names_a_cat_and_a_cup_of_espresso(network: ImageExtractor) -> None:
    cat, cup = (network(np.repeat(photograph(name), 2, axis=0), GROUPS[:2]) for name in ("chelsea", "coffee"))
    assert set(cat.probabilities[0].argsort()[-3:].tolist()) == TABBY_TIGER_EGYPTIAN
    assert cup.probabilities[0].argmax() == ESPRESSO and cup.probabilities[0, ESPRESSO] > 0.9


def test_the_result_has_shape_type_name_and_hash(network: ImageExtractor) -> None:
    found = network(noise(), GROUPS + 7)
    assert found.features.values.shape == (3, 1280) and found.features.values.dtype == np.float32
    assert found.probabilities.shape == (3, 1000) and found.probabilities.dtype == np.float32
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-5)
    assert (found.features.extractor, found.features.weights) == ("EfficientNet-Lite0", WEIGHTS_SHA256)
    assert (found.features.groups == GROUPS + 7).all() and found.features.extractor == NAME


def test_probabilities_are_those_of_the_package_itself(network: ImageExtractor) -> None:
    images = noise(side=224)  # nothing to resize
    with torch.inference_mode():
        expected = network.network((torch.from_numpy(images).float() - 127) / 128).softmax(1)
    np.testing.assert_allclose(network(images, GROUPS).probabilities, expected, rtol=1e-4, atol=1e-8)


def test_the_network_computes_what_its_package_does(network: ImageExtractor) -> None:
    plain = ImageExtractor(published(Path(str(files(WEIGHTS).joinpath(WEIGHTS_FILE)))), network.weights)
    cats = np.repeat(photograph("chelsea"), 2, axis=0)
    for images in (cats, noise(3, side=64)):
        found, expected = (one(images, np.arange(len(images))) for one in (network, plain))
        np.testing.assert_allclose(found.features.values, expected.features.values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-4, atol=1e-8)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.network.modules())


def test_chunks_types_and_grey_channels_change_nothing(network: ImageExtractor) -> None:
    images = noise(5, channels=1, side=64)
    once = network(images, np.arange(5)).features.values
    for other in (images.astype(np.float64), images.repeat(3, axis=1)):
        np.testing.assert_allclose(network(other, np.arange(5), chunk=2).features.values, once, rtol=1e-3, atol=1e-5)


def test_large_images_are_smoothed_before_they_shrink(network: ImageExtractor) -> None:
    rows, columns = np.indices((672, 672))  # three times 224: without smoothing every third pixel would be taken
    board = np.broadcast_to(((rows + columns) % 2 * 255).astype(np.uint8), (2, 1, 672, 672))
    grey, fine = (network(one, GROUPS[:2]).features.values[0] for one in (np.full_like(board, 127), board))
    coarse = network(board[:, :, :224, :224], GROUPS[:2]).features.values[0]
    assert np.linalg.norm(fine - grey) < 0.2 * np.linalg.norm(coarse - grey)


def test_loading_draws_no_random_numbers_and_leaves_nothing_to_train() -> None:
    before = torch.get_rng_state()
    loaded = load_extractor()
    assert torch.equal(torch.get_rng_state(), before)
    assert not loaded.network.training and not any(one.requires_grad for one in loaded.network.parameters())


def test_threads_may_share_it(network: ImageExtractor) -> None:
    images = [noise(2, side=48, seed=seed) for seed in range(4)]
    alone = [network(one, GROUPS[:2]).features.values for one in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: network(one, GROUPS[:2]).features.values, images))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((3, 2, 8, 8), np.uint8), r"must be \[N, 1 or 3, H, W\]"),
        (np.zeros((3, 8, 8), np.uint8), "shape"),
        (np.zeros((0, 3, 8, 8), np.uint8), "shape"),
        (np.zeros((3, 3, 8, 8), np.int64), "got int64"),
        (np.full((3, 3, 8, 8), 256.0), "0..255"),
        (np.full((3, 3, 8, 8), -1.0), "0..255"),
        (np.full((3, 3, 8, 8), np.nan), "0..255"),
        (np.full((3, 3, 8, 8), 1.0), "multiply by 255"),
    ],
)
def test_images_it_cannot_read_are_refused(network: ImageExtractor, images: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        network(images, np.arange(len(images)))


def test_a_missing_package_and_altered_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(extractor, "CODE", "no_such_code")
        with pytest.raises(CheckpointError, match=r"no_such_code .*pip install no-such-code==0\.1\.0"):
            load_extractor()
    altered = tmp_path / extractor.WEIGHTS_FILE
    altered.parent.mkdir()
    monkeypatch.setattr(extractor, "files", lambda _: tmp_path)
    for content in (None, b"other"):
        if content:
            altered.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"must be {WEIGHTS_SHA256}"):
            load_extractor()


def test_features_refuse_what_no_distance_can_be_taken_of() -> None:
    with pytest.raises(DataError, match="N >= 2"):
        ungrouped(np.zeros((1, 4)), "a", "b")
    with pytest.raises(DataError, match="1 of 3 samples are not finite"):
        ungrouped(np.array([[0.0], [np.inf], [1.0]]), "a", "b")
    with pytest.raises(DataError, match=r"groups \(2,\), must be \(3,\)"):
        Features(np.zeros((3, 4)), np.arange(2), "a", "b")


def test_a_cut_keeps_samples_with_their_groups() -> None:
    whole = Features(np.arange(20.0)[:, None], np.arange(20) * 3, "a", "b")
    part = whole.cut(7, seed=1)
    assert (part.values[:, 0] * 3 == part.groups).all() and len(set(part.groups.tolist())) == 7
    assert (part.groups == whole.cut(7, seed=1).groups).all() and (part.groups != whole.cut(7, seed=2).groups).any()


def structured(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, np.geomspace(10, 0.1, 30), (count, 30))


def test_principal_components_are_those_of_scikit_learn_up_to_one_scale() -> None:
    train, test = structured(200, 0), structured(50, 1)
    found = pca_features(train, k=8)(test, np.arange(50))
    expected = PCA(8, svd_solver="full").fit(train).transform(test)
    ratio = found.values / expected
    np.testing.assert_allclose(np.abs(ratio), np.abs(ratio[0, 0]), rtol=1e-6)
    assert found.extractor == "PCA-8 of train" and pca_features(structured(200, 0), 8)(test, np.arange(50)).weights == (
        found.weights
    )
    assert pca_features(structured(200, 2), 8)(test, np.arange(50)).weights != found.weights


def test_train_has_scores_of_mean_square_one_whatever_its_units() -> None:
    for unit in (1.0, 1e-4, 1e5):
        train = structured(200, 0) * unit
        scores = pca_features(train, k=8)(train, np.arange(200)).values
        assert scores.var(axis=0, ddof=1).mean() == pytest.approx(1)
        np.testing.assert_allclose(scores.mean(0), 0, atol=1e-9)


def test_principal_components_refuse_too_few_samples_and_other_widths() -> None:
    with pytest.raises(DataError, match=r"k = 64 .*lower k"):
        pca_features(structured(64, 0))
    with pytest.raises(DataError, match="all alike"):
        pca_features(np.ones((9, 4)), k=2)
    with pytest.raises(DataError, match=r"must be \[N, 30\]"):
        pca_features(structured(40, 0), 4)(np.zeros((5, 29)), np.arange(5))


def test_without_inception_the_reason_is_given_and_nothing_else_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(extractor, "find_spec", lambda _: None)
    assert "pip install torch-fidelity" in str(why_no_inception())
    monkeypatch.setattr(extractor, "find_spec", lambda _: object())
    assert f"{tmp_path}" in str(why_no_inception()) and "no such file" in str(why_no_inception())
    path = extractor.inception_weights()
    path.parent.mkdir()
    path.write_bytes(b"other")
    assert hashlib.sha256(b"other").hexdigest() in str(why_no_inception())
    with pytest.raises(CheckpointError, match=r"FID: .*must be 6726825d"):
        inception_fid(noise(), noise())
