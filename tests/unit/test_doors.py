"""One way through, three doors: the command line, MLproject and dvc.yaml name the same steps and parameters."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from vaeforge.cli.app import app
from vaeforge.cli.mlproject import mlproject
from vaeforge_models.families import families

ROOT = Path(__file__).parents[2]
STEPS = {"prepare", "train", "tune", "diffuse", "generate", "evaluate", "export", "register", "promote", "rollback"}
STEPS |= {"score", "serve", "drift", "trace", "report"}
READ_FIRST = re.compile(r"^\d+\. `([^`]+)`", re.MULTILINE)


def options() -> dict[str, dict[str, Any]]:
    """Each command's options, without `--help`."""
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    return {
        name: {option.opts[0].removeprefix("--"): option for option in command.params if option.opts[0] != "--help"}
        for name, command in group.commands.items()
    }


def entry_points() -> dict[str, Any]:
    points: dict[str, Any] = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    return points


def parse_call(command: str) -> tuple[str, dict[str, str]]:
    """The step and the options of a call of the command line."""
    words = shlex.split(command)
    assert words[0] == "PYTHONPATH=platform:models"
    words = [word for word in words[1:] if word != "exec"]
    assert words[:3] == ["python", "-m", "vaeforge"]
    step, rest = words[3], words[4:]
    first = next((place for place, word in enumerate(rest) if word.startswith("--")), len(rest))
    arguments = {word.strip("{}"): word for word in rest[:first]}
    options = zip(rest[first::2], rest[first + 1 :: 2], strict=True)
    return step, arguments | {name.removeprefix("--"): value for name, value in options}


def test_every_step_is_behind_every_door() -> None:
    assert set(options()) >= STEPS
    assert set(entry_points()) == STEPS | {"main"}


@pytest.mark.parametrize("point", sorted(STEPS | {"main"}))
def test_mlproject_passes_exactly_the_options_of_the_command(point: str) -> None:
    entry = entry_points()[point]
    step, given = parse_call(entry["command"])
    assert step == ("pipeline" if point == "main" else point)
    assert given == {name: f"{{{name}}}" for name in entry["parameters"]}
    assert set(given) == set(options()[step])
    for parameter in entry["parameters"].values():
        assert parameter["type"] == "string" and isinstance(parameter.get("default", ""), str)


def test_mlproject_is_generated_from_the_command_line() -> None:
    assert (ROOT / "MLproject").read_text() == mlproject(), "run `make mlproject`"


def test_dvc_stages_call_the_command_line_and_nothing_else() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert list(stages) == ["prepare", "tune", "diffuse", "evaluate", "register"]
    for name, stage in stages.items():
        step, given = parse_call(stage["cmd"])
        assert step == name
        assert set(given) <= set(options()[step])


def test_what_dvc_depends_on_exists() -> None:
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for stage in content.values():
        for dependency in stage["deps"]:
            path = dependency.replace("${family}", params["family"])
            assert path.startswith(("artifacts/", "data/")) or (ROOT / path).exists(), path
        for parameter in stage["params"]:
            section: Any = params
            for key in parameter.replace("${family}", params["family"]).split("."):
                section = section[key]


def test_the_environment_of_mlflow_run_is_the_lock() -> None:
    locked = {
        line.split("#")[0].strip()
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line.split("#")[0].strip()
    }
    environment = yaml.safe_load((ROOT / "python_env.yaml").read_text())
    assert set(environment["dependencies"]) == locked
    assert re.fullmatch(r"3\.11\.\d+", environment["python"])
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^+\s]+", pin) for pin in locked)
    assert "torch==2.13.0" in locked
    assert not any("vaeforge" in pin for pin in locked)


def test_every_direct_dependency_has_its_reason() -> None:
    lines = (ROOT / "requirements.lock").read_text().split("# What those need in turn:")[0].splitlines()
    for line in lines:
        if "==" in line:
            assert re.fullmatch(r"\S+==\S+\s+# .+", line), line


def test_the_wheel_asks_for_what_the_lock_names_first() -> None:
    first = (ROOT / "requirements.lock").read_text().split("# What those need in turn:")[0]
    reasons = dict(re.findall(r"^(\S+==\S+)\s+# (.+)$", first, re.M))
    builds = {pin for pin in reasons if pin.startswith(("setuptools==", "wheel=="))}
    tests = {pin for pin, reason in reasons.items() if reason.startswith("tests")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]["test"]) == tests
    assert set(project["dependencies"]) == set(reasons) - tests - builds


def test_the_readme_names_eight_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text().split("Read these first")[1]
    files = READ_FIRST.findall(text)[:8]
    assert len(files) == 8
    for name in files:
        assert (ROOT / name).is_file(), name


def test_every_family_has_its_sections_and_its_space() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name in families():
        assert {"prepare", "model", "beta", "optimizer", "training", "diffusion", "gates"} <= set(params[name]), name
        assert (ROOT / f"tune_spaces/{name}.yaml").is_file(), name
