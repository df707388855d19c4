"""Seeds that depend on what they are for, so that no two purposes share random numbers."""

import hashlib

SEED_BITS, KEY_BITS = 32, 64


def derive(seed: int, *purpose: str | int) -> int:
    """A 32-bit seed for `purpose` under `seed`: the same on every machine, unrelated for other purposes."""
    return int.from_bytes(_digest(seed, purpose)[: SEED_BITS // 8], "big")


def key_of(seed: int, *purpose: str | int) -> int:
    """A signed key of 64 bits for `purpose` under `seed`, for numbers from counters; unrelated for other purposes."""
    return int.from_bytes(_digest(seed, purpose)[: KEY_BITS // 8], "big", signed=True)


def _digest(seed: int, purpose: tuple[str | int, ...]) -> bytes:
    return hashlib.sha256("/".join(str(part) for part in (seed, *purpose)).encode()).digest()
