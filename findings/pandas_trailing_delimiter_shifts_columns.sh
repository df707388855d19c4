#!/usr/bin/env bash
# pandas 3.1.1: `read_csv` of a table whose rows, but not its header, end with a delimiter makes the first column the
# index and calls every other column like its left neighbour: x holds y, y holds z, and the last one is empty. Without a
# warning. `index_col=False` reads it as it is meant; R's `write.table`, whose rows begin with a name that the header
# lacks, looks the same by its number of cells alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6
cd "$folder"
venv/bin/python -W error - <<'PY'
import io

import pandas

text = "x,y,z\n1,2,3,\n4,5,6,\n"
shifted, meant = pandas.read_csv(io.StringIO(text)), pandas.read_csv(io.StringIO(text), index_col=False)
print(shifted)
assert shifted["x"].tolist() == [2, 5] and shifted["z"].isna().all(), "the columns are not shifted any more"
assert meant["x"].tolist() == [1, 4]
PY
