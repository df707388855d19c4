"""A small project whose validation gets into trouble when a test says so."""

import os
from pathlib import Path

from outside import install_metadata
from project import CODE_PATH, SmallProject

CODE = """
import os
import threading
import time
from pathlib import Path

import torch
from vaeforge.training.validation_metric import ValidationMetric


def taken(name):
    path = Path(os.environ["TROUBLE"]) / name
    try:
        seconds = float(path.read_text())
        path.unlink()
    except FileNotFoundError:
        return 0.0
    return seconds


class Trouble(ValidationMetric):
    name = "val/trouble"

    def size(self, model):
        return 1

    def sums(self, model, x, posterior):
        time.sleep(taken("slow"))
        if taken("block"):
            threading.Event().wait()
        held = bytearray(b"x") * int(taken("hold") * 1e9)
        return torch.zeros(1, dtype=torch.float64, device=x.device)

    def value(self, sums, count):
        return 0.0


VALIDATION = Trouble()
"""


class Troubled(SmallProject):
    """A project with a validation metric of another package that takes long, or never ends, when it is told to."""

    def __init__(self, root: Path):
        super().__init__(root)
        package = root / "package"
        install_metadata(package, "trouble", "[vaeforge.validation_metrics]\ntrouble = trouble:VALIDATION\n")
        (package / "trouble.py").write_text(CODE)
        self.environment = {"TROUBLE": str(root), "PYTHONPATH": os.pathsep.join([CODE_PATH, str(package)])}

    def next_validation(self, kind: str, amount: float) -> None:
        """Have the next validation take `amount` seconds (`slow`), or gigabytes (`hold`), or never end (`block`)."""
        whole = self.root / f".{kind}"
        whole.write_text(str(amount))
        whole.rename(self.root / kind)
