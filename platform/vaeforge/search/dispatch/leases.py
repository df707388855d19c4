"""Leases that are valid now, by trial, and at once by worker group: one of a thousand groups asks for its own only."""

from collections.abc import Iterator, MutableMapping

from vaeforge.search.dispatch.types import Lease


class Leases(MutableMapping[int, Lease]):
    """The lease on each trial that is trained, by the trial's number."""

    def __init__(self) -> None:
        self._all: dict[int, Lease] = {}
        self._hosts: dict[int, dict[int, Lease]] = {}

    def held_by(self, host: int) -> list[Lease]:
        """Those of the worker group `host`, in the order in which it took them."""
        return list(self._hosts.get(host, {}).values())

    def __getitem__(self, trial: int) -> Lease:
        return self._all[trial]

    def __setitem__(self, trial: int, lease: Lease) -> None:
        self.pop(trial, None)
        self._all[trial] = lease
        self._hosts.setdefault(lease.host, {})[trial] = lease

    def __delitem__(self, trial: int) -> None:
        host = self._all.pop(trial).host
        del self._hosts[host][trial]
        if not self._hosts[host]:
            del self._hosts[host]

    def __iter__(self) -> Iterator[int]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)
