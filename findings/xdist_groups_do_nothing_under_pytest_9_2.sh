#!/usr/bin/env bash
# pytest-xdist 3.8.0 under pytest 9.2.0: `--dist loadgroup` does not keep the tests of an `xdist_group` on one worker, and
# says nothing: it appends the group to a test's id, which this pytest no longer takes over. Seen: twelve tests of one
# group run on both of two workers, under pytest 9.0.3 on one. Tests that share a cluster, a port or a file then meet.
# `--dist loadfile`, or a scheduler of one's own (`pytest_xdist_make_scheduler`), still holds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
cd "$folder"
cat > test_group.py <<'PY'
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(12))
def test_it(number):
    time.sleep(0.05)
PY
workers() {  # how many workers ran tests under the pytest of version $1
  venv/bin/pip install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  venv/bin/pytest -p no:cacheprovider -v -n 2 --dist loadgroup test_group.py | grep -oE '^\[gw[0-9]\]' | sort -u | wc -l
}
new=$(workers 9.2.0)
old=$(workers 9.0.3)
echo "workers of one group: $new under pytest 9.2.0, $old under 9.0.3"
[[ $new == 2 && $old == 1 ]]
