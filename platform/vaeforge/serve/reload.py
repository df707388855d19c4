"""Alias watcher: the version that an alias points to is loaded beside the old one, warmed up, and takes its place.

Requests in flight end on the version that they began with. Whatever goes wrong, the old version keeps answering.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from vaeforge.errors import VaeforgeError
from vaeforge.paths import Project
from vaeforge.registry.fetch import Fetched, bundle_of, resolve
from vaeforge.serve.model import ServedModel, load
from vaeforge.track.store import open_store

_ALIAS = re.compile(r"models:/[^/@]+@[^/@]+")


def is_alias(reference: str) -> bool:
    """Whether `reference` is an alias, which may come to point elsewhere; a version and a folder stay what they are."""
    return _ALIAS.fullmatch(reference) is not None


@dataclass
class ActiveModel:
    """The version that answers, and how following its alias goes.

    Attributes:
        model: the version that new requests are answered by.
        checked: unix seconds of the last successful look at the alias; none where nothing is followed.
        error: why the last look or load failed; none after one that did not.
        loaded, failed: versions that were taken in use after the first, and looks or loads that failed.
    """

    model: ServedModel
    checked: float | None = None
    error: str | None = None
    loaded: int = 0
    failed: int = 0


class AliasWatcher:
    """Keeps the active model at what an alias points to.

    Args:
        active: what is kept up to date.
        reference: the alias, `models:/NAME@ALIAS`.
        project: where versions are downloaded to.
        tracking_uri: of the registry.
        threads: of one run of a graph.
        changed: called after a version was taken in use.
    """

    def __init__(
        self,
        active: ActiveModel,
        reference: str,
        project: Project,
        tracking_uri: str,
        threads: int,
        changed: Callable[[], None] = lambda: None,
    ):
        self.active, self.reference, self.project = active, reference, project
        self.tracking_uri, self.threads, self.changed = tracking_uri, threads, changed

    async def run(self, poll: float) -> None:
        """Look every `poll` seconds until cancelled."""
        while True:
            await asyncio.sleep(poll)
            await self.poll_once()

    async def poll_once(self) -> None:
        """Look once; load and swap where the alias points to another version."""
        active = self.active
        try:
            found = await asyncio.to_thread(self._newer, active.model.version)
        except VaeforgeError as error:
            active.error, active.failed = str(error), active.failed + 1
            return
        except Exception as error:  # a damaged download or a store that breaks must not end the server
            active.error, active.failed = f"{self.reference}: {error!r}; look at the registry", active.failed + 1
            return
        active.checked, active.error = time.time(), None
        if found is not None:
            active.model, active.loaded = found, active.loaded + 1
            self.changed()

    def _newer(self, current: str | None) -> ServedModel | None:
        """The alias's version, loaded and warm; none if it is the `current` one."""
        client = open_store(self.tracking_uri, existing=True)
        version = resolve(client, self.reference)
        if str(version.version) == current:
            return None
        bundle = bundle_of(client, version, self.project)
        return load(Fetched(bundle, str(version.name), str(version.version)), self.threads)
