"""Training on prepared data of four times the memory that the process may take, with the numbers of data in memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from outside import environment_with

PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from vaeforge.config.experiment import Experiment
from vaeforge.samples import Samples
from vaeforge.training.loop import TrainingData, fit
from vaeforge_models.vae import DataSpec

torch.set_num_threads(1)
path, ROOM, EVENT = Path(sys.argv[1]) / "train.npy", 2**27, (3, 48, 48)
count = 4 * ROOM // int(np.prod(EVENT)) + 1
train = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *EVENT))  # holes of the file are black
for place in range(0, count, count // 50):
    train[place] = np.random.default_rng(place).integers(0, 256, EVENT)
train.flush()
del train

def reports(x, workers):
    sections = {"epochs": 2, "batch_size": 8, "steps_per_epoch": 4, "evaluation_samples": 2, "loader_workers": workers}
    model = {"latent_dim": 5, "width": 4}
    experiment = Experiment.model_validate({"family": "endoscopy", "model": model, "training": sections})
    validation = Samples.unconditional(np.random.default_rng(1).integers(0, 256, (9, 3, 32, 32)).astype(np.uint8))
    data = TrainingData(Samples.unconditional(x), validation, DataSpec((3, 32, 32)))
    return [(one.epoch, one.metrics, one.value) for one in fit(experiment, data)]

mapped = np.load(path, mmap_mode="r")
reports(mapped[:9], 0)  # what torch takes once
taken = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
resource.setrlimit(resource.RLIMIT_DATA, (taken + ROOM, hard))
try:
    np.array(mapped)
except MemoryError:
    found = [reports(mapped, workers) for workers in (0, 2)]
else:
    raise SystemExit("the limit limits nothing")
resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
assert found == [reports(np.array(mapped), 0)] * 2, found
print("the same", mapped.nbytes // ROOM)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory differ elsewhere")
def test_a_set_of_four_times_the_memory_trains_as_in_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, env=environment_with(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "the same 4"
