#!/usr/bin/env bash
# ray[tune] 2.60.0, reuse_actors=True (the default for classes): a trial whose process is still starting when another
# trial ends gets the process of that one, and the new process is thrown away as soon as it is up. Where trials are
# shorter than the start of a process, a searcher that gives a second one once the first has ended never sees two run
# together: one process does them all, and one is set up in vain for every second trial (12 trials: 7 set up, 1 used).
# With one trial allowed at a time none is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[tune]==2.60.0"
cd "$folder"
cat > show.py <<'PY'
import os
import sys
import time
from pathlib import Path

import ray
from ray import tune
from ray.tune.search import Searcher

TRIALS, START, LENGTH = 12, 4.0, 1.0
ALLOWED = int(sys.argv[1])


class Short(tune.Trainable):
    """Is done after a second; its process takes four to be set up."""

    def setup(self, config):
        Path(config["folder"], f"process-{os.getpid()}").touch()
        time.sleep(START)

    def step(self):
        time.sleep(LENGTH)
        Path(self.config["folder"], f"worked-{os.getpid()}").touch()
        return {"done": True}

    def reset_config(self, new_config):
        return True

    def save_checkpoint(self, checkpoint_dir):
        return {}

    def load_checkpoint(self, checkpoint):
        pass


class Given(Searcher):
    """Gives one trial, and once it has ended as many at a time as are allowed."""

    live, ended = 0, 0

    def suggest(self, trial_id):
        if self.live >= (ALLOWED if self.ended else 1):
            return None
        self.live += 1
        return {"folder": os.getcwd()}

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.live, self.ended = self.live - 1, self.ended + 1


ray.init(address="local", num_cpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
tune.Tuner(
    tune.with_resources(Short, {"CPU": 1}),
    tune_config=tune.TuneConfig(
        num_samples=TRIALS, search_alg=Given(), reuse_actors=True
    ),
    run_config=tune.RunConfig(storage_path=str(Path("results").absolute()), verbose=0),
).fit()
begun, worked = len(list(Path().glob("process-*"))), len(list(Path().glob("worked-*")))
print(f"{TRIALS} trials, {ALLOWED} at a time: {begun} processes were set up, {worked} of them trained", flush=True)
assert (begun == worked == 1) if ALLOWED == 1 else (begun >= TRIALS // 2 and worked < begun // 2), (begun, worked)
PY
for allowed in 1 2; do
  mkdir "$allowed"
  (cd "$allowed" && RAY_USAGE_STATS_ENABLED=0 ../venv/bin/python ../show.py "$allowed" 2>/dev/null | grep "at a time")
done
