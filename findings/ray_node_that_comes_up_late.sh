#!/usr/bin/env bash
# ray 2.60.0: `ray.init` gives a local node 30 s to come up, and no setting changes that (RAY_raylet_start_wait_time_s of
# earlier versions is not read any more). On a busy machine it then raises a bare `Exception` and leaves the node's
# processes running, gcs_server and raylet among them, which `ray.shutdown()` does not end either: a program that tries
# again has two nodes. Here the raylet is stopped, as a machine with much else to do would delay it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0 psutil
cd "$folder"
cat > show.py <<'PY'
import threading
import time

import psutil
import ray


def nodes() -> list[psutil.Process]:
    """Processes of local nodes that this one has started and that still run."""
    found = [one for one in psutil.Process().children() if one.name() in ("gcs_server", "raylet")]
    return [one for one in found if one.status() != psutil.STATUS_ZOMBIE]


def delay() -> None:
    """Stop the raylet as soon as it is there."""
    while True:
        for one in nodes():
            if one.name() == "raylet":
                one.suspend()
                return
        time.sleep(0.001)


if __name__ == "__main__":
    threading.Thread(target=delay, daemon=True).start()
    began = time.monotonic()
    try:
        ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    except Exception as error:
        print(type(error).__name__, "timed out during startup" in str(error), 30 <= time.monotonic() - began)
    ray.shutdown()
    print(sorted(one.name() for one in nodes()))
    for one in nodes():
        one.kill()
PY
export RAY_USAGE_STATS_ENABLED=0 HOME="$folder" RAY_raylet_start_wait_time_s=300
diff <(venv/bin/python show.py 2>/dev/null) <(printf '%s\n' "Exception True True" "['gcs_server', 'raylet']")
echo "ray 2.60.0 leaves a node that came up late, and no setting gives it more time"
