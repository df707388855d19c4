"""Audit trail of a model: who changed which version, when and why, as numbered entries in tags of the versions.

An entry is written before a change (`intent`), and another after it (`done`). An intent without an end was cut off;
the next change looks whether it had happened and writes its end.
"""

import getpass
import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vaeforge.registry.versions import versions_of
from vaeforge.track.store_reader import StoredVersion, StoreReader

if TYPE_CHECKING:
    from vaeforge.track.store_client import StoreClient

PREFIX = "vaeforge.audit."
LONGEST = 5000
INTENT, DONE, UNDONE = "intent", "done", "not carried out"
_KEY = re.compile(re.escape(PREFIX) + r"(\d{4,})")


@dataclass(frozen=True)
class Entry:
    """One line of the trail.

    Attributes:
        number: counts the entries of a model.
        version: the one that is promoted, restored or archived.
        action: promote, rollback, archive or unarchive.
        state: intent, done, or not carried out.
        who: user@host; when: UTC; why: in words.
        before, after: champion before and after; none for none.
        verdict: of the gates, shortened; empty where none was asked for.
    """

    number: int
    version: str
    action: str
    state: str
    who: str
    why: str
    before: str | None
    after: str | None
    verdict: str = ""
    when: str = ""


def trail(reader: StoreReader, model: str) -> list[Entry]:
    """All entries of a model in order; tags that are none are left out."""
    return trail_of(versions_of(reader, model))


def trail_of(versions: Iterable[StoredVersion]) -> list[Entry]:
    """The entries in the tags of `versions`, in order."""
    found = [_read(one.version, key, value) for one in versions for key, value in one.tags.items()]
    return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.number)


def write(client: "StoreClient", model: str, entry: Entry) -> Entry:
    """Append `entry` with the next number and the present time; only whoever holds the model's lock may."""
    number = max((known.number for known in trail(client, model)), default=0) + 1
    numbered = replace(entry, number=number, when=datetime.now(UTC).isoformat(timespec="seconds"))
    client.set_model_version_tag(model, entry.version, f"{PREFIX}{number:04d}", text_of(numbered))
    return numbered


def text_of(entry: Entry) -> str:
    """The entry as JSON of at most 5000 characters; the verdict, then the reason, are shortened until it fits."""
    while len(_json(entry)) > LONGEST and len(entry.verdict) > 1:
        entry = replace(entry, verdict=_shortened(entry.verdict))
    while len(_json(entry)) > LONGEST and len(entry.why) > 1:
        entry = replace(entry, why=_shortened(entry.why))
    return _json(entry)


def _shortened(text: str) -> str:
    return text[: len(text) // 2] + "…" if len(text) > 3 else "…"


def user() -> str:
    """Who acts, as user@host; the number of a user without a name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def _json(entry: Entry) -> str:
    content = {key: value for key, value in asdict(entry).items() if key not in ("number", "version")}
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


def _read(version: str, key: str, value: str) -> Entry | None:
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    try:
        content: Mapping[str, Any] = json.loads(value)
        return Entry(number=int(found[1]), version=version, **content)
    except (ValueError, TypeError):
        return None
