"""Sheets of images: each lies whole at its place, white between them, and rows are named beside their middle."""

import numpy as np
import pytest

from vaeforge.evaluation.drawing import canvas, full_row, in_colours, middles, sheet, show_sheet

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(20, 33), (33, 20), (4, 4)])
def test_each_image_lies_whole_at_its_place(shape: tuple[int, int]) -> None:
    images = RNG.uniform(0, 0.9, (5, *shape, 3)).astype(np.float32)
    whole, (height, width) = sheet(images, columns=3), shape
    rows, columns = middles(images, 1, 2), middles(images, 2, 3)
    for number, image in enumerate(images):
        top, left = int(rows[number // 3] - (height - 1) / 2), int(columns[number % 3] - (width - 1) / 2)
        np.testing.assert_array_equal(whole[top : top + height, left : left + width], image)
        whole[top : top + height, left : left + width] = 1
    assert (whole == 1).all()  # between them, and where there is no sixth
    assert whole.shape == (int(rows[1] + (height + 1) / 2), int(columns[2] + (width + 1) / 2), 3)


def test_rows_are_named_beside_their_middle() -> None:
    images = RNG.random((4, 32, 32, 3)).astype(np.float32)
    axes = show_sheet(canvas(4, 4), images, 2, ("sample", "error"))
    assert [(label.get_text(), at) for label, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)] == [
        ("sample", 15.5),
        ("error", 15.5 + 34),
    ]


def test_colours_are_those_that_the_scale_says() -> None:
    maps = np.array([[[0.0, 1.0, 2.0, 5.0]]])
    images, scale = in_colours(maps, 2.0)
    np.testing.assert_allclose(images[0, 0], scale.to_rgba(maps[0, 0])[:, :3], atol=1e-6)
    np.testing.assert_array_equal(images[0, 0, 2], images[0, 0, 3])  # beyond the scale is its end
    assert in_colours(np.zeros((1, 2, 2)), 0.0)[0].shape == (1, 2, 2, 3)


@pytest.mark.parametrize("count", [0, 3, 4, 6])
def test_a_row_is_full_and_no_more(count: int) -> None:
    images = RNG.uniform(0, 0.9, (count, 5, 6, 3)).astype(np.float32)
    row = full_row(images, 4)
    assert row.shape == (4, 5, 6, 3)
    np.testing.assert_array_equal(row[:count], images[:4])
    assert (row[count:] == 1).all()
