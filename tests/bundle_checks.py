"""What holds for the exported folder of every family."""

import numpy as np
import pytest

from vaeforge.package import step
from vaeforge.package.bundle import Bundle

SHARED = {"model", "encoder", "decoder", "reconstruct_eps"}
GRAPHS = {
    "cilia": SHARED | {"error_map", "generate", "picture"},
    "endoscopy": SHARED | {"error_map", "picture"},
    "fmri": SHARED | {"denoiser"},
    "lipid": SHARED,
    "speckle": SHARED | {"error_map", "denoiser"},
}


def require_shapes_as_run(bundle: Bundle) -> None:
    """What the contract says of inputs and outputs is what each graph takes and gives, for three samples."""
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    for name, graph in bundle.contract.graphs.items():
        session = bundle.session(name)
        feeds = {
            value.name: np.zeros([size or 3 for size in graph.inputs[value.name]], dtype=kinds[value.type])
            for value in session.get_inputs()
        }
        for value, answer in zip(session.get_outputs(), session.run(None, feeds), strict=True):
            assert answer.shape == tuple(size or 3 for size in graph.outputs[value.name]), (name, value.name)


def export_only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """From now on exports make these graphs alone, besides those of pictures and precisions: each takes seconds."""
    views = step._views
    monkeypatch.setattr(step, "_views", lambda trained: {name: views(trained)[name] for name in names})
