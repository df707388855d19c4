#!/usr/bin/env bash
# pysimdjson 7.0.2: `Array.as_buffer` flattens nested arrays of any shape without a word, ragged ones too: two rows of
# [[1, 2], [3]] come out as three numbers, which NumPy reshapes to something else wherever the count fits. Here a batch
# of two samples of different lengths becomes three valid samples of one value. Count rows and lengths before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysimdjson==7.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import json

import numpy as np
import simdjson

text = b'{"x": [[1, 2], [3]]}'
try:
    np.array(json.loads(text)["x"], dtype=float)
    numpy_says = "taken"
except ValueError:
    numpy_says = "refused"
flat = np.frombuffer(simdjson.Parser().parse(text)["x"].as_buffer(of_type="d"))
print("NumPy of a list:", numpy_says, "- pysimdjson:", flat.tolist())
assert numpy_says == "refused"
assert flat.reshape(-1, 1).tolist() == [[1.0], [2.0], [3.0]]
PY
