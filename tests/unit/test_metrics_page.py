"""The page of metrics names all goals, floors and gates; the contract tests compare evaluations with it."""

import pytest

from metric_names import PAGE, not_given, undocumented
from vaeforge.config.gates import Gates
from vaeforge.evaluation.threshold import QUANTILE_METRIC, RATE_METRIC, THRESHOLD_METRIC
from vaeforge.registry.calibration_gate import RULE
from vaeforge.registry.comparison_gate import DETECTION, LIKELIHOOD
from vaeforge.search.space.objective import FLOORS, METRICS


def test_goals_floors_and_thresholds_are_on_the_page() -> None:
    names = [*METRICS, *FLOORS, THRESHOLD_METRIC, QUANTILE_METRIC, RATE_METRIC]
    assert undocumented(names) == []


def test_gates_are_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8").split("## Gates")[1]
    for rule in ("parity", "require", "data", "megabytes", "latency_ms", RULE, DETECTION, LIKELIHOOD):
        assert f"`{rule}`" in page, rule
    settings = {name.removeprefix("max_") for name in Gates.model_fields}
    missing = {
        name for name in settings if f"`{name}`" not in page and f"`gates.{name}`" not in PAGE.read_text("utf-8")
    }
    assert missing == set()


def test_the_rival_that_validation_chose_is_told_as_a_limit() -> None:
    row = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `likelihood` |"))
    assert "the best by `val/nelbo`: where that is not the truly best" in row


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("test/psnr_normal_low", True),
        ("test/contrast_low_data", True),
        ("test/kid_prior_pca_high", True),
        ("test/mse_class_0", True),
        ("test/psnr_other", False),
        ("test/kid", False),
        ("test/new", False),
    ],
)
def test_what_counts_as_on_the_page(name: str, there: bool) -> None:
    page = "`test/psnr_KIND` `test/contrast_SET` `test/kid_SET` `test/mse_CLASS`"
    assert (undocumented([name], page) == []) == there


def test_what_counts_as_given_of_the_page() -> None:
    page = (
        "# Metrics\n## Test: all families\n`test/nelbo`, `val/nelbo`\n"
        "## Task `a`\n`test/kid_SET` `test/gone`\n## Task `b`\n`test/other`"
    )
    assert not_given("a", ["test/nelbo", "test/kid_prior"], page) == ["test/gone"]
    assert not_given("b", ["test/kid_prior", "test/other"], page) == ["test/nelbo"]
