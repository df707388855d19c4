#!/usr/bin/env bash
# h5py 3.16.0: an exception that the function given to `visititems_links` or `visit_links` raises comes out as a
# SystemError ("FastRLock.__exit__ returned a result with an exception set"); from `visititems` and `visit` it comes out
# as it is. Seen: a function that refuses soft links by an error of its own ends as a SystemError, which no `except` for
# that error catches. Return the offender, which ends the visit too, and raise afterwards.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import h5py


class RefusedError(Exception):
    pass


def refuse(name, found):
    raise RefusedError(name)


seen = {}
with h5py.File("a.h5", "w") as file:
    file["one"] = 1
    for visit in (file.visititems, file.visititems_links):
        try:
            visit(refuse)
        except (RefusedError, SystemError) as error:
            seen[visit.__name__] = type(error).__name__
print(seen)
assert seen == {"visititems": "RefusedError", "visititems_links": "SystemError"}
PY
