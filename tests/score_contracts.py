"""Contracts of models that are never run, for what reads their inputs."""

from vaeforge.package.contract import Contract


def contract(data: str, **changes: object) -> Contract:
    fields: dict[str, object] = {
        "family": "fmri",
        "task": "series",
        "data": data,
        "prepare": {"log1p": False},
        "cut": False,
        "event_shape": (3,),
        "condition": (),
        "channels": (),
        "latent_dim": 2,
        "threshold": 1.0,
        "quantile": 0.95,
        "graphs": {},
    }
    return Contract(**fields | changes)  # type: ignore[arg-type]
