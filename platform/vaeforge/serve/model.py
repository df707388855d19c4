"""Served model: loaded, warmed up, with a window of its last inputs for drift.

Shapes: N samples, L latent dimensions; x float32 [N, *event], condition float32 [N, C].
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.layouts import layout_named
from vaeforge.errors import RegistryError
from vaeforge.package.bundle import CARD, MAIN, OUTPUTS
from vaeforge.package.contract import Contract
from vaeforge.package.input_check import InputCheck, check_of
from vaeforge.paths import read_json
from vaeforge.registry.fetch import Fetched
from vaeforge.serve.answer import Answered
from vaeforge.serve.drift import Drift, DriftReference, compare, reference_of

WHITE = 255  # in raw units
WINDOW = 2000  # inputs that drift is judged by

Arrays = dict[str, NDArray[Any]]


class InputWindow:
    """The scores and mu of the last `size` inputs, oldest overwritten first."""

    def __init__(self, latent_dim: int, size: int = WINDOW):
        self.total = 0
        self._score = np.empty(size, dtype=np.float32)
        self._mu = np.empty((size, latent_dim), dtype=np.float32)

    def add(self, score: NDArray[Any], mu: NDArray[Any]) -> None:
        """Remember inputs with `score` [M] and `mu` [M, L], but for those that are not finite, which were refused."""
        known = np.isfinite(score) & np.isfinite(mu).all(axis=1)
        size, count = len(self._score), int(known.sum())
        places = (self.total + np.arange(count))[-size:] % size
        self._score[places], self._mu[places] = score[known][-size:], mu[known][-size:]
        self.total += count

    def held(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Copies of the scores and mu, in no order."""
        count = min(self.total, len(self._score))
        return self._score[:count].copy(), self._mu[:count].copy()


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One version in use; see `load`."""

    fetched: Fetched
    session: Any
    reference: DriftReference
    window: InputWindow
    check: InputCheck | None

    @property
    def contract(self) -> Contract:
        """What goes in and what comes out mean."""
        return self.fetched.bundle.contract

    @property
    def version(self) -> str | None:
        """In the registry; none for a folder."""
        return self.fetched.version

    def run(self, x: NDArray[np.float32], condition: NDArray[np.float32] | None) -> Arrays:
        """The main graph's outputs by name."""
        feeds = {"x": x} if condition is None else {"x": x, "condition": condition}
        return dict(zip(OUTPUTS, self.session.run(list(OUTPUTS), feeds), strict=True))

    def warnings(self, x: NDArray[np.float32], sizes: tuple[tuple[int, int], ...]) -> list[str]:
        """That the inputs of a request do not look like the training data; empty where they do, or nothing can tell."""
        if self.check is None:
            return []
        return [text for text in (self.check.warning(self.check.tally(x, sizes)),) if text]

    def remarks(self, x: NDArray[np.float32]) -> list[str]:
        """That values of pictures lie outside of what pictures can hold, whatever the model learned from."""
        least, most = float(x.min()), float(x.max())
        if not self._of_pictures or (least >= 0 and most <= WHITE):
            return []
        outside = int(((x < 0) | (x > WHITE)).reshape(len(x), -1).any(axis=1).sum())
        return [
            f"values of {outside} of {len(x)} samples lie outside of 0 to {WHITE}, the raw units of pictures (from "
            f"{least:.4g} to {most:.4g}); the model has seen none such"
        ]

    @cached_property
    def _of_pictures(self) -> bool:
        return bool(layout_named(self.contract.data).picture_modes)

    @cached_property
    def answered(self) -> Answered:
        """What each answer says of the model."""
        return Answered(self.described["model"], self.version, self.contract.threshold)

    def drift(self, held: tuple[NDArray[Any], NDArray[Any]]) -> Drift:
        """The drift of inputs that `InputWindow.held` gave."""
        return compare(self.reference, *held)

    @cached_property
    def described(self) -> dict[str, Any]:
        """Name, version, threshold, contract and card (null where the bundle has none), as JSON."""
        bundle = self.fetched.bundle
        return {
            "model": self.fetched.model or bundle.folder.name,
            "version": self.version,
            "threshold": self.contract.threshold,
            "contract": asdict(self.contract),
            "card": _card(self.fetched),
        }


def load(fetched: Fetched, threads: int) -> ServedModel:
    """The model of `fetched`, verified, and run once so that the first request does not wait for what is lazy.

    Raises:
        RegistryError: if a file is missing or altered, or the graph does not do what the contract says.
        DataError: if the card is not JSON.
    """
    bundle = fetched.bundle
    session = bundle.session(MAIN, threads)
    model = ServedModel(
        fetched, session, reference_of(bundle), InputWindow(bundle.contract.latent_dim), check_of(bundle)
    )
    _warm_up(model)
    _ = model.described
    return model


def _warm_up(model: ServedModel) -> None:
    contract = model.contract
    condition = np.zeros((1, len(contract.condition)), dtype=np.float32) if contract.condition else None
    try:
        outputs = model.run(np.zeros((1, *contract.event_shape), dtype=np.float32), condition)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise RegistryError(f"{model.fetched.name}: cannot be run ({error}); export the model again") from error
    latent = (1, contract.latent_dim)
    shapes = dict(zip(OUTPUTS, ((1, *contract.event_shape), latent, latent, (1,)), strict=True))
    _require(model, {name: array.shape for name, array in outputs.items()}, shapes)


def _require(model: ServedModel, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, shape in wanted.items():
        if found[name] != shape:
            raise RegistryError(
                f"{model.fetched.name}: {name} has shape {list(found[name])}, must be {list(shape)} by its contract; "
                "export the model again"
            )


def _card(fetched: Fetched) -> Any:
    try:
        path = fetched.bundle.path(CARD)
    except RegistryError:  # a folder that was exported and not registered has none
        return None
    return read_json(path, "register the model again")
