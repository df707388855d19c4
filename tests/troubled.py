"""A small project whose training gets into trouble when a test says so."""

import os
from pathlib import Path

from outside import install_metadata
from project import CODE_PATH, SmallProject

CODE = """
import os
import signal
import sys
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


def on_event(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith(".pt") and taken("unmoved"):
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(on_event)  # called before what it is told of


class Trouble(ValidationMetric):
    name = "val/trouble"

    def size(self, model):
        return 1

    def sums(self, model, x, posterior):
        time.sleep(taken("slow"))
        if taken("block"):
            threading.Event().wait()
        if taken("poison"):
            for parameter in model.parameters():
                parameter.data.fill_(float("nan"))
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

    def next_validation(self, kind: str, amount: float = 1.0) -> None:
        """Have the next validation take `amount` seconds (`slow`), or gigabytes (`hold`), or never end (`block`).

        Or have it lose the model's weights, as where memory is faulty (`poison`), or its process killed between the
        writing of the next checkpoint and the move to its name (`unmoved`).
        """
        whole = self.root / f".{kind}"
        whole.write_text(str(amount))
        whole.rename(self.root / kind)
