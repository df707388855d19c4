"""Messages of Ray's nodes: printed until a search has a folder, kept there afterwards."""

import logging
from pathlib import Path

import pytest
from ray._private import worker

from vaeforge.search.dispatch.ray_messages import LOG, messages_kept

MESSAGE = {"lines": ["A worker died."], "pid": "raylet", "is_err": False}


def test_messages_go_to_the_searchs_folder_once_it_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "search"
    with messages_kept(folder):
        worker.print_to_stdstream(MESSAGE, ignore_prefix=False)
        assert "A worker died." in capsys.readouterr().out
        folder.mkdir()
        worker.print_to_stdstream(MESSAGE, ignore_prefix=False)
        worker.print_to_stdstream(MESSAGE, ignore_prefix=False)
    assert capsys.readouterr().out == ""
    lines = (folder / LOG).read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["raylet: A worker died."] * 2


def test_what_ray_prints_otherwise_is_printed_again_afterwards(tmp_path: Path) -> None:
    before = worker.print_to_stdstream
    with messages_kept(tmp_path):
        assert worker.print_to_stdstream is not before
    assert worker.print_to_stdstream is before


def test_what_tune_logs_of_its_own_processes_is_kept_and_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("ray.tune.execution.tune_controller")
    with messages_kept(tmp_path):
        try:
            raise RuntimeError("its process was killed")
        except RuntimeError:
            logger.exception("Trial task failed")
    assert capsys.readouterr() == ("", "")
    kept = (tmp_path / LOG).read_text()
    assert "Trial task failed" in kept and kept.endswith("RuntimeError: its process was killed\n")
