"""Messages of Ray's nodes: printed until a search has a folder, kept there afterwards."""

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
