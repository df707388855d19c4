"""Options of the command line: what each type reads, what an empty text means, and how wrong ones are told."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from vaeforge import __version__
from vaeforge.cli import options
from vaeforge.cli.app import app
from vaeforge.cli.option_types import (
    INTEGER,
    NUMBER,
    ON_OFF,
    PAIRS,
    PATH,
    POSITIVE,
    TEXT,
    WORDS,
    Commands,
    InvalidValueError,
    OnOff,
    OptionType,
    Pairs,
    Words,
    choice,
    with_values,
)
from vaeforge.errors import ConfigError

HEAVY = ("torch", "ray", "mlflow", "pandas", "numpy", "onnxruntime", "optuna", "pydantic")
ROOT = Path(__file__).parents[2]


def called(*words: str) -> dict[str, Any]:
    """The values that a command with an option of each type gets."""
    small = Commands()
    found: dict[str, Any] = {}

    @small.command()
    def command(
        item: Annotated[str | None, typer.Argument()] = None,
        text: Annotated[str | None, TEXT.option("")] = None,
        epochs: Annotated[int | None, INTEGER.option("")] = None,
        batch: Annotated[int, POSITIVE.option("")] = 64,
        poll: Annotated[float | None, NUMBER.option("")] = None,
        resume: Annotated[OnOff, ON_OFF.option("")] = False,
        track: Annotated[OnOff, ON_OFF.option("")] = True,
        output: Annotated[Path | None, PATH.option("")] = None,
        normal: Annotated[Words, WORDS.option("")] = (),
        columns: Annotated[Pairs, PAIRS.option("")] = {},  # noqa: B006
        format_: Annotated[str, choice("parquet", "csv").option("", "--format")] = "parquet",
        set_: options.Set = None,
    ) -> None:
        found.update(locals())

    result = CliRunner().invoke(small, list(words))
    if isinstance(result.exception, ConfigError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return {name: value for name, value in found.items() if name != "found"}


STANDARD = {
    "item": None,
    "text": None,
    "epochs": None,
    "batch": 64,
    "poll": None,
    "resume": False,
    "track": True,
    "output": None,
    "normal": (),
    "columns": {},
    "format_": "parquet",
    "set_": None,
}
NAMES = (
    "--text",
    "--epochs",
    "--batch",
    "--poll",
    "--resume",
    "--track",
    "--output",
    "--normal",
    "--columns",
    "--format",
)


def test_what_is_not_given_or_empty_has_its_default() -> None:
    assert called() == STANDARD
    assert called(*(word for name in NAMES for word in (name, ""))) == STANDARD
    assert called(*(word for name in NAMES for word in (name, " "))) == STANDARD


def test_values_are_typed() -> None:
    assert called("--text", " a b ")["text"] == "a b"
    assert called("--epochs", " 12 ")["epochs"] == 12 and called("--poll", "0.5")["poll"] == 0.5
    assert called("--resume", "TRUE", "--track", "false") == {**STANDARD, "resume": True, "track": False}
    assert called("--output", "a/b")["output"] == Path("a/b")
    assert called("--normal", "boot, bag,")["normal"] == ("boot", "bag")
    assert called("--columns", "x=a, y = b")["columns"] == {"x": "a", "y": "b"}
    assert called("--format", "csv")["format_"] == "csv"
    assert called("--set", "a.b=1 c.d=2", "--set", "e.f=3")["set_"] == ["a.b=1", "c.d=2", "e.f=3"]


def test_an_option_that_is_on_or_off_may_stand_alone() -> None:
    assert called("--resume")["resume"] is True
    assert called("--resume", "--epochs", "3") == {**STANDARD, "resume": True, "epochs": 3}
    assert called("thing", "--resume") == {**STANDARD, "item": "thing", "resume": True}
    assert called("--resume", "false", "thing") == {**STANDARD, "item": "thing"}
    assert called("--resume", "", "thing") == {**STANDARD, "item": "thing"}
    assert called("--resume=false", "thing") == {**STANDARD, "item": "thing"}
    with pytest.raises(ConfigError, match="--resume: got 'thing', must be true or false"):
        called("--resume", "thing")
    assert with_values(["--", "--resume"], {"--resume"}) == ["--", "--resume"]


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        called(
            "--epochs", "many", "--batch", "0", "--poll", "x", "--resume", "yes", "--columns", "a", "--format", "cvs"
        )
    assert refused.value.problems == [
        "--epochs: got 'many', must be a whole number",
        "--batch: got 0, must be >= 1",
        "--poll: got 'x', must be a number",
        "--resume: got 'yes', must be true or false",
        "--columns: got 'a', must be key=value pairs separated by commas, say x=xccf,y=yccf",
        "--format: got 'cvs', must be parquet or csv; did you mean 'csv'?",
    ]


@pytest.mark.parametrize("kind", [INTEGER, NUMBER])
def test_numbers_are_numbers(kind: OptionType[float]) -> None:
    for text in ("", "1,5", "0x1g"):
        with pytest.raises(InvalidValueError, match="must be a"):
            kind.read(text)


def test_the_help_names_types_and_defaults() -> None:
    shown = CliRunner().invoke(app, ["tune", "--help"], env={"COLUMNS": "160"}).output
    rows = {words[1]: words[2] for line in shown.splitlines() if len(words := line.split()) > 2}
    assert rows["--trials"] == "INTEGER" and rows["--resume"] == "BOOLEAN" and rows["--space"] == "PATH"
    assert rows["--device"] == "auto|cpu|cuda"
    assert "[default: tune_spaces/<family>.yaml]" in shown and "<str>" not in shown


def test_the_help_imports_nothing_heavy() -> None:
    """It answers in a fifth of a second; with torch it would take ten times as long."""
    program = f"import sys, vaeforge.cli.app; assert not [name for name in {HEAVY} if name in sys.modules]"
    environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"vaeforge {__version__}\n"


def test_the_command_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["vaeforge", *words])
        return options.resume_command()

    assert command("tune", "--trials", "8") == "vaeforge tune --trials 8 --resume true"
    assert command("tune", "--resume") == "vaeforge tune --resume"
    # `mlflow run` passes all options, most of them empty
    assert (
        command("tune", "--epochs", "", "--name", "a b", "--resume", "") == "vaeforge tune --name 'a b' --resume true"
    )
