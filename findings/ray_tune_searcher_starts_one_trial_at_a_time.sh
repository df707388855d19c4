#!/usr/bin/env bash
# ray[tune] 2.60.0: with a Searcher (Optuna's, or any of one's own) Tune starts the processes of trials one after the
# other, however many CPUs are free and however many trials the searcher would give: the next one is asked for when the
# last one's process is up. Without a searcher it starts them all at once. TUNE_MAX_PENDING_TRIALS_PG raises it;
# wrapping the searcher in a ConcurrencyLimiter of n does too, as a side effect: n may then be starting.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[tune]==2.60.0"
cd "$folder"
cat > show.py <<'PY'
import sys
import time
from pathlib import Path

import ray
from ray import tune
from ray.tune.search import ConcurrencyLimiter, Searcher

TRIALS, SECONDS = 4, 5.0


class Waiting(tune.Trainable):
    """Takes a while to be set up, and longer than all of the others to be done."""

    def setup(self, config):
        self.begun = time.time()
        time.sleep(SECONDS)
        self.steps = 0

    def step(self):
        time.sleep(1.0)
        self.steps += 1
        return {"begun": self.begun, "done": self.steps >= 30}

    def save_checkpoint(self, checkpoint_dir):
        return {"steps": self.steps}

    def load_checkpoint(self, checkpoint):
        self.steps = checkpoint["steps"]


class Given(Searcher):
    """Gives any number of trials."""

    def suggest(self, trial_id):
        return {}

    def on_trial_complete(self, trial_id, result=None, error=False):
        pass


def main(kind):
    ray.init(address="local", num_cpus=8, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    searcher = {"searcher": Given(), "limited": ConcurrencyLimiter(Given(), max_concurrent=TRIALS), "none": None}[kind]
    tuner = tune.Tuner(
        tune.with_resources(Waiting, {"CPU": 1}),
        tune_config=tune.TuneConfig(num_samples=TRIALS, search_alg=searcher),
        run_config=tune.RunConfig(storage_path=str(Path(kind).absolute()), verbose=0),
    )
    begun = sorted(result.metrics["begun"] for result in tuner.fit())
    print(kind, "trials began after", [round(one - begun[0], 1) for one in begun], "s", flush=True)
    apart = all(later - earlier > 0.8 * SECONDS for earlier, later in zip(begun, begun[1:]))
    together = begun[-1] - begun[0] < (TRIALS - 1) * 0.8 * SECONDS
    assert apart if kind == "searcher" else together, begun


if __name__ == "__main__":
    main(sys.argv[1])
PY
for kind in searcher limited none; do
  RAY_USAGE_STATS_ENABLED=0 venv/bin/python show.py "$kind" 2>/dev/null | grep "trials began"
done
