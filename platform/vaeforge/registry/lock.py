"""Lock of a model's champion, kept in the registry itself: one change at a time, wherever the registry is.

The lock of the model M is a registered model called `M--lock`, because names are unique in every store that MLflow
has, and creating one is atomic. Its tags say who holds it. A lock is stale when the process that made it is gone, or
when it is older than a minute. It is taken over by renaming it to a name made from its own token: of several who
find the same stale lock only one can, and the name stays in use for ten minutes, so that someone who was slow cannot
rename the next holder's lock in its place.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from vaeforge.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SUFFIX = "--lock"
STALE_SECONDS = 60.0
TOMB_SECONDS = 600.0
PATIENCE_SECONDS = 90.0
PAUSE_SECONDS = 0.05
TOKEN, HOST, PID, STARTED, TIME = (f"vaeforge.lock.{name}" for name in ("token", "host", "pid", "started", "time"))
_PURPOSE = (
    "Lock of {model}: whoever changes its champion holds this for a moment and removes it. Not a model. It may be "
    "deleted if the process in its tags no longer runs; the next change does that by itself."
)


@dataclass(frozen=True)
class HeldLock:
    """A lock that this process holds."""

    client: "MlflowClient"
    name: str
    token: str
    since: float

    def require(self) -> None:
        """Make sure, right before the change that it protects, that it is still held.

        Raises:
            RegistryError: if it was held for too long, so that another may have taken it over.
        """
        late = time.monotonic() - self.since > STALE_SECONDS / 2
        if late or (_tags(self.client, self.name) or {}).get(TOKEN) != self.token:
            raise RegistryError(
                f"{self.name}: held too long and lost, as the registry answers slowly; nothing was changed, try again"
            )


@contextmanager
def lock(client: "MlflowClient", model: str, patience: float = PATIENCE_SECONDS) -> Iterator[HeldLock]:
    """Hold the lock of `model`, waiting at most `patience` seconds for it; it is removed at the end in any case.

    Raises:
        RegistryError: if it was not free in time; the message says who holds it.
    """
    held = _acquire(client, f"{model}{SUFFIX}", _PURPOSE.format(model=model), patience)
    try:
        yield held
    finally:
        _release(held)


def is_lock(name: str) -> bool:
    """Whether a registered model is one of these locks, or what is left of one."""
    return SUFFIX in name


def _acquire(client: "MlflowClient", name: str, purpose: str, patience: float) -> HeldLock:
    from mlflow import MlflowException

    token, deadline, trouble = uuid.uuid4().hex, time.monotonic() + patience, ""
    _sweep(client, name)
    while True:
        try:
            since = time.monotonic()
            if _create(client, name, token, purpose):
                return HeldLock(client, name, token, since)
            _take_over(client, name)
        except MlflowException as error:  # a busy database is one of the things to wait for
            trouble = f" ({error})"
        if time.monotonic() > deadline:
            raise RegistryError(
                f"{name}: {_holder(client, name)}, and waiting {patience:.0f} s did not help{trouble}; try again"
            )
        time.sleep(PAUSE_SECONDS)


def _create(client: "MlflowClient", name: str, token: str, purpose: str) -> bool:
    """Whether the lock is ours now; an answer that was lost on its way is found by the token."""
    from mlflow import MlflowException

    try:
        client.create_registered_model(name, _signed(token), purpose)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
            raise
        return (_tags(client, name) or {}).get(TOKEN) == token
    return True


def _take_over(client: "MlflowClient", name: str) -> None:
    """Move a stale lock out of the way; whoever loses that race finds the name taken or the lock gone."""
    from mlflow import MlflowException

    tags = _tags(client, name)
    if tags is None or not is_stale(tags):
        return
    with suppress(MlflowException):
        client.rename_registered_model(name, f"{name}-{tags.get(TOKEN, 'unsigned')}")


def is_stale(tags: Mapping[str, str], now: float | None = None) -> bool:
    """Whether the lock with these tags protects nothing any more: its process is gone, or it is too old."""
    try:
        age = (time.time() if now is None else now) - float(tags[TIME])
        process, started = int(tags[PID]), float(tags[STARTED])
    except (KeyError, ValueError):
        return True
    return age > STALE_SECONDS or (tags.get(HOST) == socket.gethostname() and not _runs(process, started))


def _runs(pid: int, started: float) -> bool:
    """Whether the process runs that had this number at that time; numbers are used again."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signed(token: str) -> dict[str, str]:
    started = psutil.Process().create_time()
    content = {TOKEN: token, HOST: socket.gethostname(), PID: os.getpid(), STARTED: started, TIME: time.time()}
    return {key: str(value) for key, value in content.items()}


def _tags(client: "MlflowClient", name: str) -> dict[str, str] | None:
    """The tags of a registered model; none if it does not exist."""
    from mlflow import MlflowException

    try:
        return dict(client.get_registered_model(name).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _release(held: HeldLock) -> None:
    """Remove the lock if it is ours. Where the registry cannot be reached any more it goes stale by itself."""
    from mlflow import MlflowException

    for _ in range(5):
        try:
            if (_tags(held.client, held.name) or {}).get(TOKEN) == held.token:
                held.client.delete_registered_model(held.name)
            return
        except MlflowException:
            time.sleep(PAUSE_SECONDS)


def _sweep(client: "MlflowClient", name: str) -> None:
    """Remove what is left of locks that were taken over long ago."""
    from mlflow import MlflowException

    with suppress(MlflowException):
        for tomb in client.search_registered_models(f"name LIKE '{name}-%'"):
            if time.time() - tomb.last_updated_timestamp / 1000 > TOMB_SECONDS:
                client.delete_registered_model(tomb.name)


def _holder(client: "MlflowClient", name: str) -> str:
    tags = _tags(client, name)
    if tags is None:
        return "free but not to be had"
    return f"held by process {tags.get(PID, 'unknown')} on {tags.get(HOST, 'an unknown host')}"
