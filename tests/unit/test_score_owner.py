"""Results of another user, which are not continued: what they left there would be taken for results."""

import os
from pathlib import Path

import pytest

from vaeforge.errors import DataError
from vaeforge.score.resume_state import locked_output


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_results_of_another_user_are_not_continued(tmp_path: Path) -> None:
    folder = tmp_path / "scored"
    folder.mkdir()
    with locked_output(folder):
        pass
    os.chown(folder, 65534, -1)
    with pytest.raises(DataError, match="belongs to another user"), locked_output(folder):
        pass
