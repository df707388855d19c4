"""Numbers in the data of a report's figures, on ledgers of an earlier build and on made ones."""

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reported import header, kept_search, made_search, made_trial, registered_groups, written_search
from vaeforge.ledger.file import read_events
from vaeforge.report.figure import Absent, Figure
from vaeforge.report.figures import figures_of
from vaeforge.report.findings import findings
from vaeforge.report.ranked_table import ranked_table
from vaeforge.report.record import SearchRecord, read_search
from vaeforge.report.schedule_layers import by_schedule, schedules_of
from vaeforge.report.spans import time_spent
from vaeforge.report.step import make_report


def lines_of(record: SearchRecord, event: str) -> list[dict[str, Any]]:
    """The lines of one kind, as they stand in the ledger."""
    text = (record.folder / "ledger.jsonl").read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["event"] == event]


def figure(record: SearchRecord, name: str) -> Figure:
    """The figure of this name, which must be there."""
    found = next(one for one in figures_of(record) if one.name == name)
    assert isinstance(found, Figure), found
    return found


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> SearchRecord:
    """The kept search with crashes, a resumed session and repeats."""
    return read_search(kept_search(tmp_path_factory.mktemp("faults"), "faults"), "faults")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SearchRecord:
    """Sixty made trials, whose values depend on the learning rate alone."""
    return read_search(made_search(tmp_path_factory.mktemp("made"), "made", 60), "made")


def test_the_history_holds_each_trials_end_and_the_best_until_then(faults: SearchRecord) -> None:
    table = figure(faults, "optimisation-history").table
    ends = {line["trial"]: line for line in lines_of(faults, "finished")}
    assert table.column("trial") == sorted(ends)
    assert table.column("val/nelbo") == [ends[number]["value"] for number in sorted(ends)]
    best = None
    for row in table.records():
        end = ends[row["trial"]]
        if end["state"] in ("completed", "early_stopped") and row["repeat_of"] is None:
            best = end["value"] if best is None else min(best, end["value"])
        assert row["best_so_far"] == best
    assert best is not None


def test_the_newest_report_of_an_epoch_that_was_trained_twice_is_drawn(faults: SearchRecord) -> None:
    rows = figure(faults, "learning-curves").table.records()
    newest = {(line["trial"], line["epoch"]): line["metrics"]["val/nelbo"] for line in lines_of(faults, "reported")}
    assert len(lines_of(faults, "reported")) > len(newest)  # some were trained twice
    assert {(row["trial"], row["epoch"]): row["val/nelbo"] for row in rows} == newest


def test_rungs_and_stops_are_those_of_the_ledger(made: SearchRecord) -> None:
    rows = figure(made, "learning-curves").table.records()
    stops = {(row["trial"], row["epoch"]): row["needed"] for row in rows if row["decision"] == "stop"}
    assert stops == {
        (line["trial"], line["epoch"]): line["needed"] for line in lines_of(made, "decided") if line["action"] == "stop"
    }
    assert len(stops) == 18


def test_the_front_is_what_no_other_trial_dominates(made: SearchRecord) -> None:
    rows = figure(made, "rate-distortion").table.records()
    done = [(float(r["val/rate"]), float(r["val/distortion"]), r) for r in rows if r["state"] == "completed"]
    for rate, distortion, row in done:
        better = [1 for r, d, _ in done if r <= rate and d <= distortion and (r, d) != (rate, distortion)]
        assert row["on_front"] is not bool(better)
    front = sorted((rate, distortion) for rate, distortion, row in done if row["on_front"])
    assert len(front) > 1 and all(a[1] > b[1] for a, b in pairwise(front))


def test_full_beta_is_the_given_weight_of_every_schedule(made: SearchRecord) -> None:
    for trial in made.trials:
        given = trial.params["beta.max" if trial.schedule == "cyclical" else "beta.value"]
        assert trial.full_beta == given


def test_full_beta_of_a_controller_is_the_one_that_was_measured(tmp_path: Path) -> None:
    params = {"beta.schedule": "capacity", "beta.gamma": 500.0, "model.latent_dim": 4}
    lines = [header("c"), *registered_groups(), *made_trial(0, params, -50.0)]
    trial = read_search(written_search(tmp_path, "c", lines), "c").trials[0]
    assert trial.full_beta == pytest.approx(0.6)  # at the sixth epoch, whose checkpoint was kept


def test_what_is_given_by_the_settings_alone_is_known(tmp_path: Path) -> None:
    lines = [header("s"), *registered_groups(), *made_trial(0, {"beta.schedule": "constant"}, -50.0)]
    trial = read_search(written_search(tmp_path, "s", lines), "s").trials[0]
    assert (trial.full_beta, trial.latent_size) == (1.0, 8)


def test_beta_over_time_is_of_the_best_trials(made: SearchRecord) -> None:
    rows = figure(made, "beta-over-time").table.records()
    best = sorted((line["value"], line["trial"]) for line in lines_of(made, "finished") if line["state"] == "completed")
    assert list(dict.fromkeys(row["trial"] for row in rows)) == [number for _, number in best[:5]]
    assert [row["beta"] for row in rows[:6]] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_a_schedule_looks_alike_in_every_figure_whatever_it_shows(made: SearchRecord) -> None:
    tried = schedules_of(made.trials)
    assert len(tried) > 1
    last = [trial for trial in made.trials if trial.schedule == tried[-1]]
    (alone,) = by_schedule(last, tried, lambda trial: trial.value, lambda trial: trial.value)
    both = by_schedule(made.trials, tried, lambda trial: trial.value, lambda trial: trial.value)
    assert (alone.label, alone.colour, alone.symbol) == (tried[-1], both[-1].colour, both[-1].symbol)
    assert alone.colour == len(tried) - 1


def test_schedules_that_were_never_tried_are_named(made: SearchRecord) -> None:
    found = figure(made, "schedules")
    rows = {row["schedule"]: row for row in found.table.records()}
    assert list(rows) == ["constant", "cosine", "cyclical", "linear"]
    assert (rows["constant"]["trials"], rows["cosine"]["trials"], rows["cyclical"]["stopped"]) == (20, 0, 18)
    assert "Never tried: cosine." in found.remarks and "Never tried: cosine." in findings(made)
    assert any("fewer than 3 fully trained trials): cyclical" in remark for remark in found.remarks)
    best = min(float(row["best"]) for row in rows.values() if row["best"] is not None)
    assert best == min(t.value for t in made.trials if t.state == "completed" and t.value is not None)


def test_the_parameter_that_decides_is_the_most_important(made: SearchRecord) -> None:
    table = figure(made, "importances").table
    assert table.column("parameter")[0] == "optimizer.lr"
    assert sum(map(float, table.column("importance"))) == pytest.approx(1.0)
    assert "Rests on 42 fully trained trials" in figure(made, "importances").remarks[0]


def test_too_few_trials_have_no_importances(tmp_path: Path) -> None:
    record = read_search(made_search(tmp_path, "few", 2), "few")
    found = next(one for one in figures_of(record) if one.name == "importances")
    assert isinstance(found, Absent) and "2 trials were fully trained" in found.why


def test_the_surface_lies_between_the_values_of_the_trials(made: SearchRecord) -> None:
    panel = figure(made, "beta-latent-size").panels[0]
    assert panel.surface is not None and panel.shades is not None and panel.shades.limits is not None
    heights = [height for row in panel.surface.heights for height in row]
    low, high = panel.shades.limits
    assert low <= min(heights) < max(heights) <= high
    sizes = [trial.latent_size for trial in made.trials if trial.state == "completed"]
    assert panel.surface.x[0] == pytest.approx(min(sizes)) and panel.surface.x[-1] == pytest.approx(max(sizes))


def test_every_axis_of_the_parallel_coordinates_runs_from_0_to_1(made: SearchRecord) -> None:
    found = figure(made, "parallel-coordinates")
    assert [text for _, text in found.panels[0].x.ticks] == ["model.latent_dim", "optimizer.lr", "full β", "val/nelbo"]
    places = [value for layer in found.panels[0].layers[:2] for value in layer.y if value is not None]
    assert min(places) == 0.0 and max(places) == 1.0


def test_minutes_of_a_group_add_up(tmp_path: Path) -> None:
    lines = [
        header("m"),  # second 0
        *registered_groups()[:1],  # 1
        *made_trial(0, {"beta.schedule": "constant"}, -50.0, epochs=3),  # submitted 2, leased 3, epochs 4 to 6, end 7
        *made_trial(2, {"beta.schedule": "linear"}, -40.0, epochs=2),  # submitted 8, leased 9, epochs 10, 11, end 12
        {"event": "ended", "reason": "trials", "seconds": 13.0},  # 13
    ]
    record = read_search(written_search(tmp_path, "m", lines), "m")
    spans = time_spent(read_events(record.folder / "ledger.jsonl")).spans
    assert [(s.trial, s.start - 1000, s.end - 1000, s.training, s.epochs) for s in spans] == [
        (0, 3, 7, 1.5, 3),
        (2, 9, 12, 1.0, 2),
    ]
    rows = {row["phase"]: float(row["minutes"] or 0) * 60 for row in figure(record, "minutes").table.records()}
    assert rows == pytest.approx({"start": 1.0, "training": 2.5, "around training": 4.5, "idle": 5.0})


def test_a_crash_ends_a_span_and_a_resumed_session_begins_anew(faults: SearchRecord) -> None:
    spans = faults.time.spans
    assert len(spans) == len(lines_of(faults, "leased"))
    assert len(faults.time.sessions) == 2
    assert all(a.end <= b.start for a, b in pairwise([span for span in spans if span.group == 0]))


def test_the_ranked_table_begins_with_the_winner(faults: SearchRecord) -> None:
    rows = ranked_table(faults).records()
    assert rows[0]["trial"] == lines_of(faults, "ended")[-1]["best"]
    places = [row["rank"] for row in rows if row["rank"] is not None]
    assert places == list(range(1, len(places) + 1)) and len(places) > 1
    assert {row["trial"] for row in rows} == {line["trial"] for line in lines_of(faults, "finished")}
    assert any("repeats trial" in str(row["why"]) for row in rows)


def test_a_search_without_a_fully_trained_trial_says_so(tmp_path: Path) -> None:
    record = read_search(kept_search(tmp_path, "budget"), "budget")
    assert any(sentence.startswith("0 trials were trained fully") for sentence in findings(record))
    assert isinstance(figure(record, "optimisation-history"), Figure)


def test_a_search_that_has_just_begun_says_so(tmp_path: Path) -> None:
    record = read_search(written_search(tmp_path, "new", [header("new")]), "new")
    drawn = figures_of(record)
    assert all(isinstance(one, Absent) for one in drawn)
    assert findings(record)[0] == "The search has not ended: none yet."
    assert "0 trials" in findings(record)[1]


@pytest.mark.slow
def test_figures_for_print_hold_the_same_numbers(made: SearchRecord, tmp_path: Path) -> None:
    from vaeforge.paths import Project

    report = make_report(Project.of_search(made.folder), ["made"], tmp_path / "figures")
    drawn = [one for one in figures_of(made) if isinstance(one, Figure)]
    assert sorted(path.name for path in report.printed) == sorted(
        f"{one.name}.{kind}" for one in drawn for kind in ("svg", "png", "csv")
    )
    for one in drawn:
        with (tmp_path / "figures" / f"{one.name}.csv").open(encoding="utf-8", newline="") as file:
            columns, *rows = list(csv.reader(file))
        assert columns == list(one.table.columns) and len(rows) == len(one.table.rows)
        assert rows == [["" if cell is None else str(cell) for cell in row] for row in one.table.rows]
        image = ElementTree.parse(tmp_path / "figures" / f"{one.name}.svg")
        texts = {element.text for element in image.iter() if element.text and element.text.strip()}
        assert one.title in texts and {panel.y.title for panel in one.panels} - {""} <= texts
