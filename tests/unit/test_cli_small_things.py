"""Small things of the command line: what stands alone, what takes several, what is said of changed settings."""

from pathlib import Path

import pytest
import typer

from project import command_line
from vaeforge.cli.app import app
from vaeforge.cli.option_types import repeated
from vaeforge.errors import SearchError, nearest
from vaeforge.registry.audit import DONE, INTENT, Entry
from vaeforge.registry.champion_history import moved_by_hand
from vaeforge.search.configuration import differing
from vaeforge.search.search_lock import SearchLock


def test_vaeforge_alone_shows_the_way_and_the_help_names_the_exit_codes(tmp_path: Path) -> None:
    alone = command_line(tmp_path)
    assert alone.code == 0 and "vaeforge inspect DIR" in alone.stdout and "vaeforge --help" in alone.stdout
    assert "Exit codes: 0 done" in " ".join(command_line(tmp_path, "--help").stdout.split())
    version = command_line(tmp_path, "--version")
    assert version.code == 0 and version.stdout.startswith("vaeforge ")


def test_the_shell_completes_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"_VAEFORGE_COMPLETE": "complete_bash", "COMP_WORDS": "vaeforge wat", "COMP_CWORD": "1"}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        typer.main.get_command(app).main([], prog_name="vaeforge")
    assert capsys.readouterr().out.split() == ["watch"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--set", "a.b=1", "c.d=2"], ["--set", "a.b=1", "--set", "c.d=2"]),
        (["--set=a.b=1", "c.d=2", "e.f=3"], ["--set=a.b=1", "--set", "c.d=2", "--set", "e.f=3"]),
        (["--set", "a.b=1", "folder"], ["--set", "a.b=1", "folder"]),
        (["--set", "a.b=1", "--trials", "3", "c.d=2"], ["--set", "a.b=1", "--trials", "3", "c.d=2"]),
        (["--set", "a.b=1", "--", "c.d=2"], ["--set", "a.b=1", "--", "c.d=2"]),
        (["c.d=2", "--set", "a.b=1"], ["c.d=2", "--set", "a.b=1"]),
    ],
)
def test_set_takes_several(given: list[str], read: list[str]) -> None:
    assert repeated(given) == read


def test_both_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("family: endoscopy\n", encoding="utf-8")
    done = command_line(tmp_path, "tune", "--set", "model.latent_dim=0", "training.batch_size=0")
    assert done.code == 2 and "model.latent_dim" in done.stderr and "training.batch_size" in done.stderr, done


def test_sync_takes_the_name_as_trials_does(tmp_path: Path) -> None:
    for words in (["mine"], ["--name", "mine"]):
        done = command_line(tmp_path, "sync", *words)
        assert done.code == 2 and "search 'mine': not found" in done.stderr
    for words in ([], ["mine", "--name", "other"]):
        assert "as in `vaeforge sync NAME`" in command_line(tmp_path, "sync", *words).stderr


def test_settings_that_differ_are_named() -> None:
    before = {"model": {"latent_dim": 8, "width": 4}, "beta": {"schedule": "constant", "value": 1.0}}
    now = {"model": {"latent_dim": 16, "width": 4}, "beta": {"schedule": "linear"}}
    assert differing(before, now) == (
        "beta.value was 1.0, now not set, model.latent_dim was 8, now 16, beta.schedule was 'constant', now 'linear'"
    )
    many = {str(number): number for number in range(9)}
    assert differing(many, {}).endswith("5 was 5, now not set, and 3 more")


def test_a_search_that_never_began_leaves_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "searches" / "new"
    lock = SearchLock(folder)
    lock.remember()
    lock.discard()
    lock.close()
    assert not folder.exists()
    lock = SearchLock(folder)
    (folder / "ledger.jsonl").write_text("", encoding="utf-8")
    lock.discard()
    lock.close()
    assert folder.exists()
    again = SearchLock(folder)  # the lock's own file is as it was
    with pytest.raises(SearchError, match="already running"):
        SearchLock(folder)
    again.close()


def entry(number: int, action: str, state: str, after: str | None) -> Entry:
    return Entry(number, "1", action, state, "me@here", "", None, after)


def test_a_champion_that_was_moved_by_hand_is_told_of() -> None:
    trail = [entry(1, "promote", INTENT, "1"), entry(2, "promote", DONE, "1")]
    assert moved_by_hand(trail, "1") is None and moved_by_hand([], "1") is None
    assert moved_by_hand(trail, "3") == "moved by hand: the last recorded change made version 1 champion"
    assert moved_by_hand(trail, None) is not None
    assert moved_by_hand([*trail, entry(3, "promote", INTENT, "3")], "3") is None  # under way


def test_a_folder_that_is_no_project_is_said_to_be_none(tmp_path: Path) -> None:
    refused = command_line(tmp_path, "searches")
    assert refused.code == 2 and "is no vaeforge project" in " ".join(refused.stderr.split())
    (tmp_path / "params.yaml").write_text("family: endoscopy\n", encoding="utf-8")
    assert command_line(tmp_path, "searches").code == 0


def test_suggestions_are_what_can_be_meant() -> None:
    budget = ("wall_hours", "core_hours", "gpu_hours", "target")
    assert nearest("hours", budget) == "; did you mean 'wall_hours', 'core_hours' or 'gpu_hours'?"
    assert nearest("wal_hours", budget) == "; did you mean 'wall_hours'?"
    assert nearest("bayes", ("tpe", "gp", "cmaes")) == ""
