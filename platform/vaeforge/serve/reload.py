"""Registry watcher: the version that an alias points to is loaded beside the old one, warmed up, and takes its place.

Requests in flight end on the version that they began with. Whatever goes wrong, the old version keeps answering, and
the log and the metrics say so; only one that was archived answers no more.
"""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vaeforge.errors import VaeforgeError
from vaeforge.paths import Project
from vaeforge.registry.fetch import ARCHIVED, Fetched, bundle_of, resolve
from vaeforge.serve.model import ServedModel, load
from vaeforge.track.open_reader import open_reader

PATIENCE = 60.0  # seconds after which a look that has not come back is said to hang
logger = logging.getLogger(__name__)
_REGISTERED = re.compile(r"models:/[^/@]+[@/][^/@]+")


def is_registered(reference: str) -> bool:
    """Whether `reference` is an alias or a version; a folder stays what it is."""
    return _REGISTERED.fullmatch(reference) is not None


@dataclass
class ActiveModel:
    """The version that answers, and how following its alias goes.

    Attributes:
        model: the version that new requests are answered by.
        checked: unix seconds of the last successful look at the registry; none where nothing is watched.
        error: why the last look or load failed; none after one that did not.
        loaded, failed: versions that were taken in use after the first, and looks or loads that failed.
        withdrawn: why no requests are answered, the version having been archived; none where they are.
    """

    model: ServedModel
    checked: float | None = None
    error: str | None = None
    loaded: int = 0
    failed: int = 0
    withdrawn: str | None = None


class RegistryWatcher:
    """Keeps the active model at what a reference to the registry names, as long as that is not archived.

    Args:
        active: what is kept up to date.
        reference: `models:/NAME@ALIAS`, or `models:/NAME/VERSION`, which can only be archived.
        project: where versions are downloaded to.
        tracking_uri: of the registry.
        threads: of one run of a graph.
        changed: called after a version was taken in use.
        patience: seconds after which a look is said to hang.
    """

    def __init__(
        self,
        active: ActiveModel,
        reference: str,
        project: Project,
        tracking_uri: str,
        threads: int,
        changed: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ):
        self.active, self.reference, self.project = active, reference, project
        self.tracking_uri, self.threads, self.changed, self.patience = tracking_uri, threads, changed, patience
        self._look: asyncio.Future[ServedModel | None] | None = None

    async def run(self, poll: float) -> None:
        """Look every `poll` seconds until cancelled."""
        while True:
            await asyncio.sleep(poll)
            await self.poll_once()

    async def poll_once(self) -> None:
        """Look once; load and swap where the alias points to another version, withdraw one that was archived.

        A look that hangs is not begun again: the next call waits for it, too.
        """
        active = self.active
        look = self._look = self._look or _in_thread(lambda: self._newer(active.model.version))
        done, _ = await asyncio.wait({look}, timeout=self.patience)
        if not done:
            self._note(f"{self.reference}: the registry has not answered for {self.patience:g} s and more")
            return
        self._look = None
        try:
            found = look.result()
        except VaeforgeError as error:
            self._note(str(error))
            return
        except Exception as error:  # a damaged download or a store that breaks must not end the server
            self._note(f"{self.reference}: {error!r}; look at the registry")
            return
        if active.error is not None:
            logger.warning("the registry can be looked at again")
        active.checked, active.error = time.time(), None
        if found is not None:
            active.model, active.loaded = found, active.loaded + 1
            logger.warning("%s is in use now", found.fetched.name)
            self.changed()

    def _note(self, problem: str) -> None:
        """Keep and log a problem; one that stays is logged once."""
        active = self.active
        active.failed += 1
        if problem != active.error:
            logger.warning("%s; %s stays as it is", problem, active.model.fetched.name)
        active.error = problem

    def _newer(self, current: str | None) -> ServedModel | None:
        """The reference's version, loaded and warm; none if it is the `current` one."""
        reader = open_reader(self.tracking_uri)
        version = resolve(reader, self.reference)
        if version.version == current:
            self._withdraw(f"{version.name} version {current}", version.tags.get(ARCHIVED) == "true")
            return None
        bundle = bundle_of(reader, version, self.project)
        model = load(Fetched(bundle, version.name, version.version), self.threads)
        self.active.withdrawn = None
        return model

    def _withdraw(self, name: str, archived: bool) -> None:
        reason = f"server: {name} was archived, and archived models are not used; promote another version"
        if archived != (self.active.withdrawn is not None):
            logger.warning("%s", reason if archived else f"{name} is archived no more, and is used again")
        self.active.withdrawn = reason if archived else None


def _in_thread(function: "Callable[[], ServedModel | None]") -> "asyncio.Future[ServedModel | None]":
    """What `function` comes to, in a thread that an end of the process does not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ServedModel | None] = loop.create_future()

    def tell(result: ServedModel | None, error: Exception | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)

    def work() -> None:
        try:
            result, error = function(), None
        except Exception as raised:  # whatever a store or a download raises
            result, error = None, raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=work, name="registry", daemon=True).start()
    return future
