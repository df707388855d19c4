"""Does what this platform trains come out as the literature says? Each part stands beside published numbers.

    python benchmarks/quality.py [mnist|fashion|digits|beta|cells|all] [--quick] [--output FILE]

Every model is trained by `vaeforge.training.loop.fit` in this process on one thread. The figures go to
benchmarks/quality.json, a part at a time; parts that are not run keep theirs. `--quick` runs each part with little data
and few steps, to see that it works: its figures say nothing and go nowhere unless --output names a file.

mnist    our test loss beside an independent implementation's, step for step
fashion  unseen classes of Fashion-MNIST told by reconstruction, both protocols of RaPP
digits   a digit as the anomaly, with 2 and with 32 latent dimensions
beta     rate and distortion against beta, in every family on its sample
cells    defects of electroluminescence cells told by the endoscopy family
"""

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
RESULTS = BENCHMARKS / "quality.json"
PARTS = ("mnist", "fashion", "digits", "beta", "cells")
PACKAGES = ("torch", "numpy", "scikit-learn", "pillow")


def runner(part: str) -> Callable[[Path, bool], dict[str, Any]]:
    """What runs `part`; each is imported where it is needed, because the path must be set first."""
    if part == "mnist":
        import quality_mnist

        return quality_mnist.run
    if part in ("fashion", "digits"):
        import quality_anomaly

        return dict(quality_anomaly.PARTS)[part]
    if part == "beta":
        import quality_beta

        return quality_beta.run
    import quality_cells

    return quality_cells.run


def run(part: str, quick: bool) -> dict[str, Any]:
    """One part: its figures and how they came about."""
    import torch

    torch.set_num_threads(1)
    started = time.monotonic()
    figures = runner(part)(ROOT, quick)
    command = f"python benchmarks/quality.py {part}" + (" --quick" if quick else "")
    return described(command, PACKAGES, started) | figures


def described(command: str, packages: Sequence[str], started: float) -> dict[str, Any]:
    """How figures came about: the command, the day, the machine, versions, and the seconds since `started`."""
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "used": 1, "processor": platform.machine(), "gpu": None},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "seconds": round(time.monotonic() - started, 1),
    }


def record(path: Path, part: str, result: dict[str, Any], parts: Sequence[str] = PARTS) -> None:
    """Put the part's result into the file, beside the other parts'."""
    known = json.loads(path.read_text()) if path.exists() else {}
    results = {name: result if name == part else known.get(name) for name in parts if name == part or name in known}
    text = json.dumps(results, indent=1, ensure_ascii=False)
    flat = re.sub(r"\[[^\[\]{}]*\]", lambda numbers: " ".join(numbers.group().split()), text)  # a list is a line
    path.write_text(flat + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--quick", action="store_true", help="little data and few steps, to see that it works")
    parser.add_argument("--output", type=Path, help=f"where the figures go; else {RESULTS.relative_to(ROOT)}")
    arguments = parser.parse_args()
    # the toy families are found through their entry points
    sys.path[:0] = map(str, (BENCHMARKS, BENCHMARKS / "toy", ROOT / "platform", ROOT / "models"))
    target = arguments.output or (None if arguments.quick else RESULTS)
    for part in PARTS if arguments.part == "all" else (arguments.part,):
        result = run(part, arguments.quick)
        print(f"{part}: {result['seconds']} s", flush=True)
        if target is not None:
            record(target, part, result)


if __name__ == "__main__":
    main()
