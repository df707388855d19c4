"""Trainings that go astray in a real search: what was good counts, and what was not is said and never registered."""

from pathlib import Path

import pytest

from project import SmallProject, check_invariants, end
from troubled import Troubled

QUICK = ("--offline", "true", "--register", "false", "--scheduler", "none", "--hosts", "1")
SPACE = """
family: endoscopy
fidelity: {max: 4, min: 2, reduction: 2}
space: {model.latent_dim: {int: [2, 16]}}
"""


def with_beta(root: Path, beta: str) -> SmallProject:
    """A small project whose schedule of beta is given and not searched."""
    project, params = SmallProject(root), root / "params.yaml"
    params.write_text(params.read_text().replace("  diffusion: {}\n", f"  diffusion: {{}}\n  beta: {beta}\n"))
    (root / "tune_spaces/endoscopy.yaml").write_text(SPACE)
    return project


@pytest.mark.long
def test_a_checkpoint_that_was_never_moved_and_weights_that_are_lost_cost_no_good_epoch(tmp_path: Path) -> None:
    project = Troubled(tmp_path)
    call = ("tune", "--name", "n", *QUICK, "--trials", "1", "--epochs", "60")
    process = project.start(*call, **project.environment)
    try:
        project.wait_for_events("n", "reported", process, 2)
        project.next_validation("unmoved")
        project.wait_for(lambda: any(e["attempt"] == 2 for e in project.events("n", "reported")), process)
        project.next_validation("poison")
        assert process.wait(240) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "n", trials=1)  # that no temporary file was left, for one
    (crash,) = project.events("n", "crashed")
    assert crash["cause"] == "lost"
    epochs = [event["epoch"] for event in project.events("n", "reported")]
    assert epochs == list(range(1, len(epochs) + 1))
    (ended,) = project.events("n", "finished")
    assert ended["state"] == "early_stopped" and ended["cause"].startswith(f"diverged in epoch {epochs[-1]} (nan)")
    assert "diverged" in project.call("trials", "n")
    assert (tmp_path / "artifacts/tune/manifest.json").exists()


@pytest.mark.long
def test_a_search_of_which_every_trial_fails_says_why_and_registers_nothing(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    project = with_beta(tmp_path, "{schedule: linear, value: 1.0e+300, warmup: 1.0}")  # full in the last epoch only
    output = project.run("tune", "--name", "f", *QUICK, "--trials", "2", code=2, **cluster)
    check_invariants(project, "f", trials=2, failed=frozenset({"nan"}))
    assert "all 2 trials failed; nothing is registered" in " ".join(output.split()) and "Traceback" not in output
    assert "Failed trials" in output and "nan" in output
    assert not (tmp_path / "artifacts/tune/manifest.json").exists()


@pytest.mark.long
def test_a_model_that_collapsed_is_a_result_and_flagged(tmp_path: Path, cluster: dict[str, str]) -> None:
    project = with_beta(tmp_path, "{schedule: constant, value: 1000.0}")
    output = project.run("tune", "--name", "c", *QUICK, "--trials", "1", **cluster)
    check_invariants(project, "c", trials=1)
    assert "collapsed" in output and "posterior collapse" in project.call("trials", "c#0")
