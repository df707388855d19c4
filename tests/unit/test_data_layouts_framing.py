"""What a crop leaves of pictures, by hand; and that prepare says it."""

from pathlib import Path

import pytest
from PIL import Image

from project import command_line
from vaeforge.data.layouts.pictures.framing import framing_remark, kept_share, proposed_size
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.samples import RawImage

SMALL, WIDE = RawImage("a", "normal", 28, 28), RawImage("b", "normal", 640, 480)


def test_shares_are_those_of_the_visible_square() -> None:
    # 28 pixels become 128, of which 96 are seen: 21 of 28 pixels a side; of 640 x 480 a square of 360
    assert kept_share(SMALL, PictureSettings(size=96, margin=32)) == pytest.approx(21 * 21 / 784)
    assert kept_share(WIDE, PictureSettings(size=96, margin=32)) == pytest.approx(360 * 360 / (640 * 480))
    assert kept_share(SMALL, PictureSettings(size=16, margin=0)) == 1


def test_crop_and_enlargement_are_said_with_settings_that_do_less() -> None:
    told = framing_remark([SMALL, SMALL, WIDE], PictureSettings(size=96, margin=32))
    assert "56 % are seen (the median; least 42 %)" in told
    assert "2 of 3 are enlarged, up to 4.6 times, to 128 pixels" in told
    assert "`prepare: {size: 16, margin: 0}`" in told
    assert proposed_size([RawImage("c", "", 100, 70)]) == 64


def test_nothing_is_said_where_nothing_is_lost() -> None:
    assert framing_remark([SMALL], PictureSettings(size=16, margin=0)) == ""


def test_prepare_says_what_it_cuts_off(tmp_path: Path) -> None:
    for name, count in (("normal", 12), ("polyps", 5)):
        (tmp_path / "data/endoscopy" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (28, 28), (number, count, 0)).save(tmp_path / "data/endoscopy" / name / f"{number}.png")
    done = command_line(tmp_path, "prepare", "--family", "endoscopy")
    assert done.code == 0, done.stderr
    assert "17 of 17 are enlarged, up to 4.6 times, to 128 pixels" in " ".join(done.stdout.split())
