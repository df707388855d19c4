"""The skin sample: how its labels are drawn, that only the pinned wheel is used, and what is tracked."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaeforge.data.label_values import ANOMALOUS, NORMAL, UNLABELLED
from vaeforge.data.samples import skin
from vaeforge.errors import DataError

SAMPLE = Path(__file__).parents[2] / "data/endoscopy/skin"


def test_inside_is_the_even_odd_rule() -> None:
    square = [(1.0, 2.0), (1.0, 5.0), (4.0, 5.0), (4.0, 2.0)]
    expected = np.zeros((6, 7), dtype=bool)
    expected[1:4, 2:5] = True
    np.testing.assert_array_equal(skin.inside(square, 6, 7), expected)


def test_labels_of_a_drawn_section() -> None:
    """Slide above row 4, corneum 4..8, epidermis 8..12, dermis below; a hair at row 2, a white hole in the corneum."""
    image = np.full((16, 10, 3), 120, dtype=np.uint8)
    image[:4] = 230
    image[2, 3] = 100
    image[6, 6] = 250
    corneum = [(4.0, -1.0), (4.0, 10.0), (8.0, 10.0), (8.0, -1.0)]
    labels = skin.label_map(image, corneum, [(12.0, 0.0), (12.0, 9.0)])
    assert (labels[12:] == NORMAL).all()
    assert (labels[4:12] == ANOMALOUS).all()
    assert labels[2, 3] == ANOMALOUS
    assert (labels[:4] == UNLABELLED).sum() == 4 * 10 - 1


def test_columns_beyond_the_corneums_outline_take_the_nearest_top() -> None:
    image = np.full((10, 6, 3), 230, dtype=np.uint8)
    corneum = [(3.0, 2.0), (3.0, 4.0), (6.0, 4.0), (6.0, 2.0)]
    labels = skin.label_map(image, corneum, [(8.0, 0.0), (8.0, 5.0)])
    assert (labels[3:8] == ANOMALOUS).all()
    assert (labels[:3] == UNLABELLED).all()


def test_another_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(b"other")
    with pytest.raises(DataError, match=f"SHA-256 is .*, must be {skin.WHEEL_SHA256}"):
        skin.make_sample(wheel, tmp_path)
    assert skin.main(["--wheel", str(wheel), "--output", str(tmp_path)]) == 2
    assert "must be" in capsys.readouterr().err


def test_a_wheel_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.whl: not found"):
        skin.make_sample(tmp_path / "none.whl", tmp_path)


def test_the_sample_is_what_its_attribution_says() -> None:
    with Image.open(SAMPLE / "image.png") as image, Image.open(SAMPLE / "labels.png") as labels:
        assert (image.mode, image.size) == ("RGB", (1280, 960))
        assert (labels.mode, labels.size) == ("L", (1280, 960))
        assert np.bincount(np.asarray(labels).ravel()).tolist() == [225428, 756707, 246665]
    assert skin.WHEEL_SHA256 in (SAMPLE / "ATTRIBUTION.md").read_text()
    assert "Redistribution and use" in (SAMPLE / "LICENSE").read_text()
