#!/usr/bin/env bash
# pyarrow 25.0.1: ParquetFile.iter_batches over a file of several row groups keeps memory of every group it has passed,
# although each batch is dropped before the next is asked for: of a table of 200 float32 columns (the usual width of a
# mass spectrometry section) in 12 groups, 8 MB each, Arrow's pool holds the whole table at the end. One iter_batches for
# each row group holds less than four of them (pages and a batch). Where a table is wide, the default dictionaries (of
# measured values, which hardly repeat) come on top: they make the file larger, too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pyarrow==25.0.1" "numpy==2.4.6"
cd "$folder"
cat > show.py <<'PY'
import os

import numpy as np
import pyarrow
import pyarrow.parquet as parquet

GROUPS, ROWS, COLUMNS = 12, 10_000, 200
rng = np.random.default_rng(0)
names = [f"m{number}" for number in range(COLUMNS)]
for form in ("plain", "dictionaries"):
    table = pyarrow.table({name: rng.gamma(2, 1, GROUPS * ROWS).astype(np.float32) for name in names})
    options = {"row_group_size": ROWS, "compression": "zstd", "use_dictionary": form == "dictionaries"}
    parquet.write_table(table, f"{form}.parquet", **options)
    del table
group = ROWS * COLUMNS * 4


def most(form, one_by_one):
    """The most that Arrow holds while the file is read in batches, as a multiple of a row group's values."""
    before, found = pyarrow.total_allocated_bytes(), 0
    with parquet.ParquetFile(f"{form}.parquet") as file:
        parts = [[number] for number in range(GROUPS)] if one_by_one else [list(range(GROUPS))]
        for part in parts:
            for batch in file.iter_batches(ROWS, row_groups=part, use_threads=False):
                assert batch.num_rows == ROWS
                del batch
                found = max(found, pyarrow.total_allocated_bytes() - before)
    return found / group


whole, single = most("plain", False), most("plain", True)
sizes = {form: os.path.getsize(f"{form}.parquet") for form in ("plain", "dictionaries")}
print(f"pyarrow {pyarrow.__version__}: {GROUPS} row groups of {group / 1e6:.0f} MB")
print(f"held at most, all groups in one iter_batches: {whole:.1f} groups; one iter_batches a group: {single:.1f}")
print(f"file with dictionaries / without: {sizes['dictionaries'] / sizes['plain']:.2f}")
assert whole > 6 and single < 5, "behaviour changed"
assert sizes["dictionaries"] > 1.2 * sizes["plain"], "behaviour changed"
PY
"$folder/venv/bin/python" show.py
