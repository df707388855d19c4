"""What a crop leaves of pictures and which size suits them, by hand; and that prepare says it."""

from pathlib import Path

import pytest
from PIL import Image

from project import command_line
from vaeforge.config.layouts import layout_named
from vaeforge.data.framing import cropped_remark, fitting_size, kept_share, padded_remark

SMALL, WIDE = (28, 28), (640, 480)


def test_shares_are_those_of_the_visible_square() -> None:
    # 28 pixels become 128, of which 96 are seen: 21 of 28 pixels a side; of 640 x 480 a square of 360
    assert kept_share(SMALL, 96, 32) == pytest.approx(21 * 21 / 784)
    assert kept_share(WIDE, 96, 32) == pytest.approx(360 * 360 / (640 * 480))
    assert kept_share(SMALL, 16, 0) == 1


@pytest.mark.parametrize(
    ("side", "size"), [(10, 16), (22, 16), (24, 32), (28, 32), (32, 32), (60, 64), (64, 64), (100, 96), (480, 96)]
)
def test_the_size_that_suits_is_the_nearest_multiple_of_16(side: int, size: int) -> None:
    assert fitting_size([side, side, 5000], most=96) == size  # one large picture changes nothing


def test_crop_and_enlargement_are_said_with_settings_that_suit() -> None:
    told = cropped_remark([SMALL, SMALL, WIDE], 96, 32, fitting=32)
    assert "56 % are seen (the median; least 42 %)" in told
    assert "2 of 3 are enlarged, up to 4.6 times, to 128 pixels" in told
    assert "`prepare: {size: 32, margin: 4}`" in told and "`--size auto`" in told


def test_nothing_is_said_where_nothing_is_lost() -> None:
    assert cropped_remark([SMALL], 16, 0, fitting=16) == ""
    assert padded_remark([WIDE], 224, fitting=224) == ""


def test_pictures_that_are_seen_whole_are_said_to_be_enlarged() -> None:
    told = padded_remark([(28, 20), WIDE], 224, fitting=32)
    assert told.startswith("at size 224 1 of 2 are enlarged, up to 8 times, to 224 pixels; `prepare: {size: 32}`")


def test_patches_have_room_in_their_strips() -> None:
    layout = layout_named("frames")
    # of 500 columns validation has 100 less a gap of 48, which holds 48 pixels; rows are enough
    assert layout.fitting_size([(500, 200)], layout.settings()) == 48
    assert layout.fitting_size([(5000, 40)], layout.settings()) == 32


def pictures(folder: Path, side: int) -> Path:
    for name, count in (("normal", 12), ("polyps", 5)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.effect_noise((side, side), 40 + number + count).save(folder / name / f"{number}.png")
    return folder


def test_prepare_says_what_it_cuts_off(tmp_path: Path) -> None:
    pictures(tmp_path / "data/endoscopy", 28)
    done = command_line(tmp_path, "prepare", "--family", "endoscopy")
    assert done.code == 0, done.stderr
    assert "17 of 17 are enlarged, up to 4.6 times, to 128 pixels" in " ".join(done.stdout.split())
