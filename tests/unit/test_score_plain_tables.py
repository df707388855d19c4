"""Arrow tables that are made without pandas are those that pyarrow makes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from project import ROOT
from scoring import untrained, write_bundle
from vaeforge.score.plain_tables import read_parquet, table_of


@pytest.mark.parametrize("count", [0, 1, 7, 9])
def test_tables_are_those_of_pyarrow(count: int, tmp_path: Path) -> None:
    texts = [None if number % 3 == 1 else "ü/é" * number for number in range(count)]
    wide = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    columns = {"item": texts, "x": wide[:, 1], "is": wide[:, 0] > 2, "bytes": np.arange(count)}
    made = table_of(columns)
    made.validate(full=True)
    expected = pyarrow.table({**columns, "item": pyarrow.array(texts, pyarrow.string())})
    assert made.equals(expected) and made.schema == expected.schema
    pyarrow.parquet.write_table(made, tmp_path / "t.parquet")
    assert read_parquet(tmp_path / "t.parquet").equals(expected)


@pytest.mark.slow
def test_pictures_are_scored_without_what_takes_long_to_import(tmp_path: Path) -> None:
    from PIL import Image

    write_bundle(tmp_path / "model", "endoscopy", untrained("endoscopy"))
    Image.new("RGB", (40, 40), "red").save(tmp_path / "one.png")
    program = (
        "import sys\nfrom vaeforge.cli.app import main\n"
        "sys.argv = ['vaeforge', 'score', 'model', 'one.png', '--output', 'scored']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "late = {'mlflow', 'torch', 'pandas', 'scipy', 'nibabel', 'h5py', 'tifffile', 'requests'} & set(sys.modules)\n"
        "assert not late, late\n"
    )
    environment = {
        "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}",
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
