"""Processes of Tune's trials that are starting: from when Tune has been handed a trial until that trial submits itself.

Tune hands a trial whose process is still starting the process of the next trial that ends, and throws the new one away.
Where trials are shorter than the start of a process there would never be processes for two of them, and each end would
cost a start. What may end a trial is therefore told to Tune once no process is starting.
"""

START_SECONDS = 10.0  # that the process of a trial takes at most to start, on a busy machine


class ProcessStarts:
    """The trials whose processes are starting, by the time since which they are; times are passed in."""

    def __init__(self) -> None:
        self._starting: dict[int, float] = {}
        self._submitted: set[int] = set()

    def announce(self, trial: int, now: float) -> None:
        """Tune has been handed `trial`; one that has submitted itself meanwhile, in a process that was there, has."""
        if trial not in self._submitted:
            self._starting[trial] = now

    def submitted(self, trial: int) -> bool:
        """The trial has a process; returns whether it was starting."""
        self._submitted.add(trial)
        return self._starting.pop(trial, None) is not None

    def any_starting(self, now: float) -> bool:
        """Whether a process is starting; one that takes longer than `START_SECONDS` is waited for no more."""
        return any(now - since < START_SECONDS for since in self._starting.values())
