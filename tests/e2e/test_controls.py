"""What people steer a search by, on real data: goals, budgets, knowledge, repeats, populations keep their promises."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from project import SampleProject, check_invariants
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.paths import sha256_of
from vaeforge.search.samplers.trials import transferred
from vaeforge.search.space.space import Space, parse_space

SMALL = "training.steps_per_epoch=4 training.batch_size=16 training.evaluation_samples=1"
COMMON = ("--register", "false", "--offline", "true", "--set", SMALL)
SPACE: dict[str, Any] = {
    "family": "fmri",
    "fidelity": {"max": 6, "min": 2, "reduction": 3},
    "space": {
        "model.latent_dim": {"int": [4, 32], "log": True},
        "optimizer.lr": {"float": [0.0003, 0.01], "log": True},
        "beta.schedule": {
            "choice": {
                "constant": {"beta.value": {"float": [0.1, 300.0], "log": True}},
                "linear": {
                    "beta.value": {"float": [0.1, 300.0], "log": True},
                    "beta.warmup": {"float": [0.1, 0.33]},
                },
            }
        },
    },
}


@pytest.fixture
def project(tmp_path: Path) -> SampleProject:
    return SampleProject(tmp_path, "fmri")


def tune(project: SampleProject, cluster: dict[str, str], name: str, *options: str, code: int = 0, **keys: Any) -> str:
    """A search of the space above with `keys` in it; the command's output."""
    (project.root / "space.yaml").write_text(json.dumps({**SPACE, **keys}))  # JSON is YAML
    return project.run(
        "tune", "--family", "fmri", "--space", "space.yaml", "--name", name, *COMMON, *options, code=code, **cluster
    )


def history_of(project: SampleProject, name: str) -> SearchHistory:
    return read_history(project.root / f"artifacts/searches/{name}/ledger.jsonl")


def manifest_of(project: SampleProject, name: str) -> Any:
    return json.loads((project.root / f"artifacts/searches/{name}/manifest.json").read_text())


def space_of(history: SearchHistory) -> Space:
    assert history.header is not None
    return parse_space(history.header.space, "ledger")


def metrics(trial: TrialRecord, *names: str) -> tuple[float, ...]:
    return tuple(float(trial.best_metrics[name]) for name in names)


@pytest.mark.long
def test_several_goals_keep_a_front_and_one_point_is_chosen_by_the_stated_rule(
    project: SampleProject, cluster: dict[str, str]
) -> None:
    goals = {"val/rate": "min", "val/distortion": "min"}
    choose = {"constraint": {"val/active_units": 2}, "best": "val/distortion"}
    output = tune(project, cluster, "front", "--trials", "6", objective={"metrics": goals, "choose": choose})
    history = check(project, "front", 6)
    assert {trial.state for trial in history.trials.values()} <= {"completed", "early_stopped"}  # no scheduler
    points = {number: metrics(trial, *goals) for number, trial in history.trials.items()}
    front = {
        number
        for number, point in points.items()
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points.values()
        )
    }
    rows = (project.root / "artifacts/searches/front/front.csv").read_text().splitlines()
    heads = rows[0].split(",")
    marked = {
        int(row.split(",")[0]) for row in rows[1:] if row.split(",")[heads.index("front")] in ("true", "True", "1")
    }
    assert marked == front
    allowed = [number for number in front if history.trials[number].best_metrics["val/active_units"] >= 2]
    chosen = min(allowed, key=lambda number: points[number][1])
    assert manifest_of(project, "front")["trial"] == chosen
    assert "chosen" in output and "val/active_units" in output
    assert (project.root / "artifacts/searches/front/front.png").stat().st_size > 1000


def check(project: SampleProject, name: str, trials: int) -> SearchHistory:
    check_invariants(project, name, trials)
    return history_of(project, name)


@pytest.mark.long
def test_a_budget_of_core_hours_is_kept_to_an_epoch_and_a_larger_one_goes_on(
    project: SampleProject, cluster: dict[str, str]
) -> None:
    hours = 1.5 / 3600
    tune(project, cluster, "b", "--trials", "40", "--budget", f"core_hours={hours}", "--scheduler", "none")
    history = history_of(project, "b")
    assert history.ended is not None and history.ended.reason.startswith("core-hours")
    check_invariants(project, "b", len(history.trials))
    reports = project.events("b", "reported")
    epochs = [report["core_seconds"] for report in reports]
    assert hours * 3600 <= history.core_seconds <= hours * 3600 + 2 * max(epochs)  # two hosts were under way
    assert len(history.trials) < 40
    same = ("--resume", "true", "--scheduler", "none", "--budget", f"core_hours={hours}")
    again = tune(project, cluster, "b", *same, "--trials", "41", code=2)
    assert "budget is used up" in again and "larger --budget" in again
    wider = (f"core_hours={10 * hours}", str(len(history.trials) + 2))
    tune(project, cluster, "b", "--resume", "true", "--trials", wider[1], "--budget", wider[0], "--scheduler", "none")
    extended = check(project, "b", len(history.trials) + 2)
    assert extended.ended is not None and extended.ended.reason == "trials"


@pytest.mark.long
def test_what_another_search_found_informs_the_first_proposals(project: SampleProject, cluster: dict[str, str]) -> None:
    tune(project, cluster, "first", "--trials", "12", "--search", "random", "--epochs", "1")
    tune(project, cluster, "second", "--trials", "3", "--warm-start", "first", "--epochs", "1", "--hosts", "1")
    (informed,) = history_of(project, "second").warm_starts
    assert (informed.source, informed.use, len(informed.trials)) == ("first", "values", 12)
    second = history_of(project, "second")
    warm, cold = (space_of(second).build_sampler(seed=0) for _ in range(2))
    for trial in informed.trials:
        warm.tell(transferred(trial))
    assert second.trials[0].params == warm.ask(0) != cold.ask(0)
    refused = tune(project, cluster, "third", "--trials", "3", "--warm-start", "nothing", code=2)
    assert "no search 'nothing'" in refused


@pytest.mark.long
def test_finalists_run_again_and_the_best_mean_wins(project: SampleProject, cluster: dict[str, str]) -> None:
    output = tune(project, cluster, "r", "--trials", "4", "--repeats", "3", "--set", "search.finalists=2")
    history = check(project, "r", 8)
    repeated = {trial.repeat_of for trial in history.trials.values() if trial.repeat_of is not None}
    originals = [t for t in history.trials.values() if t.repeat_of is None and t.state != "stopped"]
    assert repeated == {t.number for t in sorted(originals, key=lambda t: t.value or 0.0)[:2]}
    means, values = {}, {}
    for origin in repeated:
        runs = [t for t in history.trials.values() if origin in (t.number, t.repeat_of)]
        assert len(runs) == 3 and len({t.value for t in runs}) == 3  # other seeds, other numbers
        assert all(t.params == history.trials[origin].params for t in runs)
        values[origin] = [t.value or 0.0 for t in sorted(runs, key=lambda t: t.number)]
        means[origin] = sum(values[origin]) / 3
    manifest = manifest_of(project, "r")
    assert manifest["trial"] == min(means, key=lambda number: means[number])
    # each repeat is left out in turn, and read of the trial that the other two runs choose
    told = [min(values.values(), key=lambda runs: runs[0] + runs[3 - place])[place] for place in (1, 2)]
    assert manifest["repeats"]["value"] == pytest.approx(sum(told) / 2)
    assert "±" in output


@pytest.mark.long
def test_members_of_a_population_inherit_the_donors_weights(project: SampleProject, cluster: dict[str, str]) -> None:
    lanes = ("--hosts", "1", "--lanes", "4")
    tune(project, cluster, "p", "--trials", "4", *lanes, scheduler={"name": "pbt", "interval": 2})
    history = check(project, "p", 4)
    together = [event for event in project.events("p", "reported") if len(event.get("beside", ())) == 3]
    assert {event["trial"] for event in together} == {0, 1, 2, 3}  # at once after each round, as one model
    assert {trial.epoch for trial in history.trials.values()} == {6}
    inherits = [event for event in project.events("p", "decided") if event["action"] == "inherit"]
    assert [event["epoch"] for event in inherits] == [2, 4]
    reports = {(e["trial"], e["epoch"]): e for e in project.events("p", "reported")}
    params = {event["trial"]: event["params"] for event in project.events("p", "submitted")}
    for event in inherits:
        newest = [reports[number, event["epoch"]]["metrics"]["val/nelbo"] for number in range(4)]
        assert newest[event["trial"]] == max(newest) and newest[event["donor"]] == min(newest)
        donor = reports[event["donor"], event["epoch"]]
        assert event["checkpoint"]["sha256"] == donor["checkpoint"]["sha256"]  # the donor's weights, bit by bit
        assert event["params"] != params[event["donor"]]  # changed, but for what the weights are made for
        assert event["params"]["model.latent_dim"] == params[event["donor"]]["model.latent_dim"]
        params[event["trial"]] = event["params"]
    last = history.trials[inherits[-1]["trial"]]
    assert last.params == inherits[-1]["params"]
    best = manifest_of(project, "p")["checkpoint"]
    assert sha256_of(project.root / best["path"]) == best["sha256"]


@pytest.mark.long
def test_mlflow_and_the_dashboards_journal_agree_with_the_ledger(
    project: SampleProject, cluster: dict[str, str]
) -> None:
    import optuna

    (project.root / "space.yaml").write_text(json.dumps(SPACE))
    call = ("tune", "--family", "fmri", "--space", "space.yaml", "--name", "a", "--register", "false", "--trials", "5")
    project.run(*call, "--set", SMALL, **cluster)
    history = check(project, "a", 5)
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "vaeforge-fmri"]
    runs = {
        int(run.data.tags["vaeforge.trial"].rpartition("/")[2]): run
        for run in client.search_runs([experiment.experiment_id])
        if "vaeforge.trial" in run.data.tags
    }
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(project.root / "artifacts/searches/a/optuna.journal"))
    )
    study = optuna.load_study(study_name="a", storage=storage)
    states = {"completed": "COMPLETE", "early_stopped": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
    assert set(runs) == set(history.trials) == {trial.number for trial in study.trials}
    for number, trial in history.trials.items():
        run = runs[number]
        assert run.data.tags["vaeforge.state"] == trial.state
        assert run.info.status == ("FAILED" if trial.state == "failed" else "FINISHED")
        assert run.data.metrics["value"] == pytest.approx(trial.value)
        assert run.data.metrics["epochs"] == trial.epoch
        assert study.trials[number].state.name == states[str(trial.state)]
        shown = study.trials[number]
        assert (shown.value if shown.value is not None else shown.intermediate_values[trial.epoch]) == trial.value


@pytest.mark.long
def test_a_trial_is_trained_again_longer_and_with_other_seeds(project: SampleProject, cluster: dict[str, str]) -> None:
    tune(project, cluster, "t", "--trials", "2", "--epochs", "2")
    winner = manifest_of(project, "t")
    call = ("--from", "t", "--epochs", "3", "--seeds", "2", "--name", "longer", "--offline", "true", "--json", "true")
    output = project.run("train", *call, **cluster)
    history = check(project, "longer", 2)
    manifest = manifest_of(project, "longer")
    for path, value in winner["params"].items():
        section, key = path.split(".")
        assert manifest["experiment"][section][key] == value
    assert {trial.epoch for trial in history.trials.values()} == {3}
    assert len({trial.value for trial in history.trials.values()}) == 2
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert lines[0]["event"] == "start" and lines[-1]["event"] == "end"
    assert lines[-1]["best"]["runs"] == [0, 1] and lines[-1]["best"]["sd"] > 0
    listed = [json.loads(line) for line in project.run("searches", "--json", "true").splitlines()]
    assert {row["name"] for row in listed} == {"t", "longer"}
    detail = json.loads(project.run("trials", "longer#1", "--json", "true"))
    assert detail["repeat_of"] == 0
    project.run("rm", "t")
    assert not (project.root / "artifacts/searches/t").exists()
