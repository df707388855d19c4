"""Seeds that depend on what they are for, so that no two purposes share random numbers."""

import hashlib

SEED_BITS = 32


def derive(seed: int, *purpose: str | int) -> int:
    """A 32-bit seed for `purpose` under `seed`: the same on every machine, unrelated for other purposes."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[: SEED_BITS // 8], "big")
