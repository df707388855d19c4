"""Memory of this machine as Ray's monitor counts it, which ends workers where more than a share of it is in use.

Sources: Ray's page on out-of-memory prevention (`RAY_memory_usage_threshold`, `RAY_memory_monitor_refresh_ms`).
"""

import os

from vaeforge.errors import ResourceError

PERIOD, THRESHOLD = "RAY_memory_monitor_refresh_ms", "RAY_memory_usage_threshold"
SHARE = 0.95  # Ray's default of the threshold
GB = 10**9


def monitored_share() -> float:
    """Share of the memory above which Ray ends workers; 1 where its monitor is off."""
    return 1.0 if os.environ.get(PERIOD) == "0" else float(os.environ.get(THRESHOLD) or SHARE)


def require_memory() -> None:
    """Refuse to start where Ray would end whatever it starts.

    Raises:
        ResourceError: if more than `monitored_share` is in use already.
    """
    from ray._private.utils import estimate_available_memory, get_system_memory

    total, share = get_system_memory(), monitored_share()
    used = total - estimate_available_memory()
    if used > share * total:
        raise ResourceError(
            f"memory: {used / GB:.1f} of {total / GB:.1f} GB are in use, and Ray ends workers above {share:.1%} of it; "
            "end other programs, or ask the scheduler for more"
        )
