#!/usr/bin/env bash
# ray[train] 2.60.0: a DataParallelTrainer with one worker, without datasets and without checkpoints starts five more
# Python processes beside that worker: TrainController, SynchronizationActor, DatasetManager, PlacementGroupCleaner and
# _AutoscalingCoordinatorActor, each of more than 100 MB, on a cluster of one machine that can add no nodes. There is no
# setting against the last three. Where many short trainings follow one another their starts are what is paid for:
# a subclass that leaves out DatasetsCallback and PlacementGroupCleanerCallback, and a scaling policy that asks nobody,
# save them. (Without the cleaner the caller removes the placement group of a controller that was killed.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[train]==2.60.0" psutil==7.2.2
cd "$folder"
cat > show.py <<'PY'
import threading
import time
from pathlib import Path

import psutil
import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

WANTED = {"TrainController", "SynchronizationActor", "DatasetManager", "PlacementGroupCleaner", "_AutoscalingCoordinatorActor"}


def work() -> None:
    time.sleep(20)


def megabytes() -> dict[str, float]:
    """Proportional memory of each actor below this process."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            name = "".join(process.cmdline()).removeprefix("ray::").split(".")[0]
            if name in WANTED:
                found[name] = round(process.memory_full_info().uss / 1e6)
        except psutil.Error:
            pass
    return found


def main() -> None:
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    trainer = DataParallelTrainer(
        work,
        scaling_config=ScalingConfig(num_workers=1),
        run_config=RunConfig(name="one", storage_path=str(Path("storage").absolute())),
    )
    thread = threading.Thread(target=trainer.fit, daemon=True)
    thread.start()
    most: dict[str, float] = {}
    while thread.is_alive():
        most |= megabytes()
        time.sleep(0.5)
    print("processes beside the one worker, MB of their own:", most)
    assert set(most) == WANTED, most


if __name__ == "__main__":
    main()
PY
RAY_USAGE_STATS_ENABLED=0 venv/bin/python show.py
