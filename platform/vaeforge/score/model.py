"""Scorer: score, rate and latents of items by a packaged model, and where in an image the error is.

Shapes: n items, L latent dimensions; score, rate float32 [n], mu float32 [n, L], error maps float32 [n, H, W].
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import ConfigError, RegistryError
from vaeforge.package.bundle import Bundle
from vaeforge.score.batches import Values

ERROR_MAP = "error_map"
OUTPUTS = ("mu", "logvar", "score")


@dataclass(frozen=True)
class Scored:
    """What the model says of n items; `rate` is KL(q(z|x) || N(0, I)) in nats (Kingma and Welling 2014, appendix B)."""

    score: Values
    rate: Values
    mu: Values


class Scorer:
    """Sessions of the graphs that scoring needs.

    Raises:
        ConfigError: if the model has no graph called `graph`, that one cannot score, or it has no error map.
        RegistryError: if a file was altered or cannot be run.
    """

    def __init__(self, bundle: Bundle, graph: str, threads: int, maps: bool):
        self.contract = bundle.contract
        self.graph = bundle.graph(graph)
        graphs = bundle.contract.graphs.items()
        able = sorted(name for name, one in graphs if set(OUTPUTS) <= set(one.outputs) and "x" in one.inputs)
        if graph not in able:
            raise ConfigError(f"--graph: {graph} gives {', '.join(self.graph.outputs)}; must be {', '.join(able)}")
        if maps and ERROR_MAP not in bundle.contract.graphs:
            raise ConfigError(
                f"--error-maps: this model of {self.contract.data} has no graph {ERROR_MAP}; leave it out"
            )
        self.session = bundle.session(graph, threads)
        self.maps = bundle.session(ERROR_MAP, threads) if maps else None

    def run(self, x: Values, condition: Values) -> Scored:
        """Score, rate and latents of x [n, *event] under condition [n, C]."""
        mu, logvar, score = self.outputs(OUTPUTS, x, condition)
        wide = logvar.astype(np.float64)
        with np.errstate(over="ignore"):  # an infinite rate is told as what it is
            rate = 0.5 * (np.square(mu, dtype=np.float64) + np.exp(wide) - 1 - wide).sum(axis=1)
            return Scored(score, rate.astype(np.float32), mu)

    def outputs(self, names: tuple[str, ...], x: Values, condition: Values) -> list[NDArray[Any]]:
        """Outputs of the graph by name, for x [n, *event] under condition [n, C]."""
        return self._answers(self.session, names, x, condition)

    def error_maps(self, x: Values, condition: Values) -> Values:
        """The squared error of each pixel in model units, the mean of its channels: [n, H, W]."""
        if self.maps is None:
            raise RegistryError("error maps were not asked for when the model was opened")
        (maps,) = self._answers(self.maps, (ERROR_MAP,), x, condition)
        return maps

    def _answers(self, session: Any, outputs: tuple[str, ...], x: Values, condition: Values) -> list[NDArray[Any]]:
        feeds = {"x": x, "condition": condition}
        answers: list[NDArray[Any]] = session.run(
            list(outputs), {given.name: feeds[given.name] for given in session.get_inputs()}
        )
        return answers
