"""The code on docs/python.md, run from the first line to the last on a small project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from project import CODE_PATH, ROOT, SmallProject

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_code_on_the_page_runs(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.run("prepare")
    blocks = BLOCK.findall((ROOT / "docs/python.md").read_text())
    assert len(blocks) >= 6
    script = tmp_path / "page.py"
    script.write_text("if __name__ == '__main__':\n" + re.sub("^(?=.)", "    ", "".join(blocks), flags=re.MULTILINE))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_ADDRESS"))}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=variables | {"PYTHONPATH": CODE_PATH},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "command line: search.trials: got 0, must be >= 1" in done.stdout.splitlines()
    assert "torch.Size([8, " in done.stdout
    assert f"{tmp_path}/artifacts/export (3, 32, 32)" in done.stdout
    for unasked in ("Search '", "evaluated:", "exported and compared"):
        assert unasked not in done.stdout
