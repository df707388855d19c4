"""Latency of a packaged model, measured on the machine that exports, one thread on the CPU."""

import time
from pathlib import Path

import numpy as np

from vaeforge.manifests.export import Latency
from vaeforge.package.bundle import open_session
from vaeforge.package.parity_inputs import main_feeds
from vaeforge.samples import Samples

WARM_UPS, RUNS = 5, 50
LONGEST = 3.0  # seconds for the runs of one batch size; at least one is made
SIZES = {"single": 1, "batch32": 32}


def latency_of(path: Path, samples: Samples) -> Latency:
    """Median and 95th percentile of the main graph's runs in milliseconds.

    Each run is one batch of real samples; a batch of 32 holds some of them twice where there are fewer.

    Raises:
        RegistryError: if onnxruntime cannot open the graph.
    """
    session = open_session(path)
    found: dict[str, float] = {}
    for name, size in SIZES.items():
        raw, condition = samples.tensors(np.arange(size) % len(samples))
        feeds = main_feeds(raw, condition)
        seconds: list[float] = []
        started = time.perf_counter()
        while len(seconds) < WARM_UPS + RUNS and (not seconds or time.perf_counter() - started < LONGEST):
            before = time.perf_counter()
            session.run(None, feeds)
            seconds.append(time.perf_counter() - before)
        kept = np.array(seconds[WARM_UPS:] or seconds[-1:]) * 1000
        for percent in (50, 95):
            found[f"{name}_p{percent}"] = round(float(np.percentile(kept, percent)), 4)
    return Latency(**found)
