#!/usr/bin/env bash
# numpy 2.4.6: `numpy.save` (and `ndarray.tofile`) into a file says of a full disk, a used-up quota or a file-size limit
# only `OSError: 50000 requested and 12484 written`, with `errno` None: code that goes by ENOSPC, EDQUOT or EFBIG, as
# whoever tells a full disk from a bug does, never sees it. Into anything else that has a `write`, and with `savez`, numpy
# writes through Python, whose error has its number: hand it a small object that passes `write` on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
cd "$folder"
venv/bin/python -W error - <<'PY'
import errno
import os
import resource

import numpy as np

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # as on a disk with this much room


class Stream:
    def __init__(self, file):
        self.write = file.write


def error_of(target):
    try:
        np.save(target, np.zeros(50_000))
    except OSError as error:
        print(error, error.errno)
        return error.errno
    raise SystemExit("it fitted")


with open("a.npy", "wb", buffering=0) as file:
    assert error_of(file) is None, "the error has a number now"
file = open("b.npy", "wb")
assert error_of(Stream(file)) == errno.EFBIG
os._exit(0)  # what is left in its buffer does not fit either
PY
