"""What a board goes by and what it hands out: the terms of a search, hosts as it knows them, leases on trials."""

from dataclasses import dataclass, field
from typing import Any, Literal

from vaeforge.search.budget import Limits

Reply = Literal["go", "stop", "drop", "hold"]


@dataclass(frozen=True)
class Lease:
    """One attempt at one trial by one host."""

    trial: int
    attempt: int
    host: int
    generation: int


@dataclass(frozen=True)
class Terms:
    """What a board goes by.

    Attributes:
        epochs: after which a trial waits for a decision.
        yields: a trial that waits gives its host back.
        attempts: starts of a trial before it counts as crashed.
        cores, gpus: that one host holds.
        floors: validation metrics that the target counts with only.
    """

    epochs: frozenset[int] = frozenset()
    yields: bool = False
    attempts: int = 3
    cores: float = 1.0
    gpus: float = 0.0
    limits: Limits = field(default_factory=Limits)
    floors: tuple[tuple[str, float], ...] = ()


@dataclass
class Host:
    """A worker group as the board knows it: its newest generation, its processes, when it was last heard of."""

    generation: int
    processes: list[dict[str, Any]]
    heard: float
