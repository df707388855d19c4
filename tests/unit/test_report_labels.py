"""Labels of the rate–distortion front: none lies on another, on paper as it is drawn and on the narrowest screen."""

from itertools import combinations

import matplotlib
import pytest

from reported import header, made_trial, registered_groups, written_search
from vaeforge.report.figure import Axis, Figure, Layer, Panel
from vaeforge.report.figures.rate_distortion import rate_distortion
from vaeforge.report.label_placement import outside_in, thinned
from vaeforge.report.print_figures import STYLE, _drawn
from vaeforge.report.record import read_search


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    """Forty trials on a front, most of them close together."""
    lines = [header("crowded"), *registered_groups()]
    for number in range(40):
        rate = 10.0 + number / 10 if number < 35 else 20.0 + 20 * (number - 34)
        params = {"beta.schedule": "constant", "beta.value": 0.9 / (number + 1), "model.latent_dim": 4}
        lines += made_trial(number, params, -100.0 - 2 * rate, rate=rate)
    root = tmp_path_factory.mktemp("crowded")
    found = rate_distortion(read_search(written_search(root, "crowded", lines), "crowded"))
    assert isinstance(found, Figure)
    return found


def test_no_label_of_the_front_lies_on_another_one_on_paper(crowded: Figure) -> None:
    with matplotlib.rc_context(dict(STYLE)):
        page = _drawn(crowded)
        page.canvas.draw()
        boxes = [text.get_window_extent() for text in page.axes[0].texts]
    assert len(boxes) >= 4
    assert not [1 for one, other in combinations(boxes, 2) if one.overlaps(other)]


def test_both_ends_of_the_front_are_labelled_and_nothing_is_lost_from_its_data(crowded: Figure) -> None:
    front = next(layer for layer in crowded.panels[0].layers if layer.drawn == "steps")
    assert len(front.texts) == len(front.x) == 40
    assert front.texts[0] == "β 0.9" and front.texts[-1] == "β 0.022"
    assert sum(map(bool, front.texts)) < 12
    assert sum(row["on_front"] is True for row in crowded.table.records()) == 40


def test_labels_that_lie_apart_are_all_kept() -> None:
    layer = Layer("points", (0.0, 1.0, 2.0, 3.0), (3.0, 2.0, 1.0, 0.0), texts=("β 1", "β 2", "β 3", "β 4"))
    assert thinned(Panel(Axis("x"), Axis("y"), (layer,))).layers[0].texts == layer.texts
    close = Layer("points", (0.0, 0.01, 3.0), (3.0, 3.0, 0.0), texts=("β 1", "β 2", "β 3"))
    assert thinned(Panel(Axis("x"), Axis("y"), (close,))).layers[0].texts == ("β 1", "", "β 3")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_every_place_comes_once_ends_first(count: int) -> None:
    order = list(outside_in(count))
    assert sorted(order) == list(range(count)) and order[:2] == [0, count - 1][:count]
