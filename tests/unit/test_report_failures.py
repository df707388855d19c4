"""Report of a search whose trials have all failed: made at its end, and it says what they failed of."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reported import header, made_trial, registered_groups, written_search
from vaeforge.errors import NothingWonError, SearchError
from vaeforge.evaluation.drawing import one_axes, save
from vaeforge.paths import Project
from vaeforge.report.at_end import report_of_failures
from vaeforge.report.failures import failures
from vaeforge.report.findings import findings
from vaeforge.report.record import Evaluated, read_search
from vaeforge.report.step import _copies, make_report


def failed_trial(number: int, cause: str, traceback: str) -> list[dict[str, Any]]:
    params = {"beta.schedule": "constant", "beta.value": 0.1, "model.latent_dim": 4}
    lines = made_trial(number, params, -1.0, epochs=1)[:3]
    lines.append({"event": "crashed", "trial": number, "attempt": 1, "cause": cause, "traceback": traceback})
    end = {"state": "failed", "cause": cause, "value": None, "epoch": 1, "seconds": 0.5}
    return [*lines, {"event": "finished", "trial": number, **end}]


@pytest.fixture
def failed(tmp_path: Path) -> Project:
    lines = [header("bad"), *registered_groups(), *failed_trial(0, "oom", "Traceback\n  x\nMemoryError: 12 GB\n")]
    lines += [*failed_trial(1, "nan", ""), *failed_trial(2, "nan", "Traceback\nFloatingPointError: loss is nan")]
    ended = {"event": "ended", "reason": "trials", "seconds": 9.0, "trials": 3, "best": None, "value": None}
    return written_search(tmp_path, "bad", [*lines, ended])


def test_the_page_says_what_all_trials_failed_of(failed: Project) -> None:
    record = read_search(failed, "bad")
    told = findings(record)
    assert told[1].startswith("All 3 trials failed, so that no model is handed on and nothing is registered: 2 of nan")
    assert told[2] == "The newest crash ended with: FloatingPointError: loss is nan"
    rows = failures(record).records()
    assert [(row["cause"], row["trials"], row["which"]) for row in rows] == [("nan", 2, "1, 2"), ("oom", 1, "0")]
    assert rows[1]["last crash"] == "MemoryError: 12 GB" and "batch_size" in str(rows[1]["what to do"])
    text = make_report(failed, ["bad"]).page.read_text(encoding="utf-8")
    assert "Why trials failed" in text and "MemoryError: 12 GB" in text


def test_it_is_made_at_the_end_and_the_refusal_stays(failed: Project) -> None:
    out = io.StringIO()
    with (
        pytest.raises(SearchError, match="all failed"),
        report_of_failures(failed, None, Console(file=out, width=200)),
    ):
        raise NothingWonError("all failed", "bad")
    assert out.getvalue().strip().endswith("report.html") and (failed.search("bad") / "report.html").is_file()


def test_pictures_of_the_evaluation_are_copied_beside_the_figures_for_print(tmp_path: Path) -> None:
    folder = tmp_path / "evaluate"
    save(one_axes("x", "y")[0], folder / "figures" / "reconstructions.png")
    (one,) = _copies({"": Evaluated(folder, None)}, tmp_path / "print")  # type: ignore[arg-type]
    assert one == tmp_path / "print" / "pictures" / "reconstructions.png"
    assert one.read_bytes() == (folder / "figures" / "reconstructions.png").read_bytes()
    (other,) = _copies({"b": Evaluated(folder, None), "a": None}, tmp_path / "print")  # type: ignore[arg-type]
    assert other == tmp_path / "print" / "pictures" / "b" / "reconstructions.png"
