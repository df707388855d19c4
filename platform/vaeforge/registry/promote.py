"""Changes of a model's champion and of what may be used: each under the model's lock, with an entry in its trail.

Nothing else moves the alias `champion`; the register step and `vaeforge models` call this file. The order within a
change matters: the intent is written into the audit trail, the alias is moved by one request, the intent is marked as
done. A process killed at any moment thus leaves the old champion or the new one, and the next change completes the
trail (`_recover_interrupted_change`).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from vaeforge.errors import RegistryError
from vaeforge.registry.audit import DONE, INTENT, Entry, trail_of, write
from vaeforge.registry.champion_history import CHANGES, end_of, open_intent, overtaken, previous_champion
from vaeforge.registry.fetch import ARCHIVED
from vaeforge.registry.lock import HeldLock, lock
from vaeforge.registry.mlflow_calls import store_errors
from vaeforge.registry.verdict import Verdict
from vaeforge.registry.versions import CHAMPION, champion_of, version_named, versions_of
from vaeforge.track.store import one_try
from vaeforge.track.store_reader import StoredVersion

if TYPE_CHECKING:
    from vaeforge.track.store_client import StoreClient


class ConflictError(RegistryError):
    """Somebody else changed the champion since a version was judged against it."""


def promote(
    client: "StoreClient",
    model: str,
    version: str,
    expected_champion: str | None,
    who: str,
    why: str,
    verdict: Verdict,
) -> None:
    """Make `version` champion, if the champion is still the one that it was judged against.

    Args:
        client: of the registry.
        model: its name.
        version: that becomes champion.
        expected_champion: the champion when the verdict was made; none if there was none.
        who: acts, for the audit trail.
        why: reason for the audit trail.
        verdict: of the gates.

    Raises:
        ConflictError: if somebody else changed the champion meanwhile.
        RegistryError: if the verdict is against it, the version is archived or not there, or the registry refuses.
    """
    if not verdict.promote:
        raise RegistryError(f"{model} version {version}: {'; '.join(verdict.reasons)}; not promoted")
    with store_errors(client.tracking_uri, f"{model}: cannot be changed"), lock(client, model) as held:
        champion = _recover_interrupted_change(client, model)
        if champion != expected_champion:
            raise ConflictError(
                f"{model}: champion is {_named(champion)}, but this was decided against {_named(expected_champion)}; "
                f"somebody else changed it meanwhile; judge version {version} again"
            )
        require_usable(version_named(client, model, version))
        entry = Entry(0, version, "promote", INTENT, who, why, champion, version, str(verdict))
        _move(client, model, held, entry)


def rollback(client: "StoreClient", model: str, who: str, why: str) -> str:
    """Make the previous champion champion again and return its version; archived versions are skipped.

    Called again, it goes back further.

    Raises:
        RegistryError: if there is none, or the registry refuses.
    """
    with store_errors(client.tracking_uri, f"{model}: cannot be changed"), lock(client, model) as held:
        champion = _recover_interrupted_change(client, model)
        versions = versions_of(client, model)
        usable = {str(one.version) for one in versions if one.tags.get(ARCHIVED) != "true"}
        target = previous_champion(trail_of(versions), champion, usable)
        if target is None:
            raise RegistryError(
                f"{model}: has no champion before {_named(champion)} that may be used; "
                f"`vaeforge models promote {model} VERSION` makes another one champion"
            )
        _move(client, model, held, Entry(0, target, "rollback", INTENT, who, why, champion, target))
        return target


def archive(client: "StoreClient", model: str, version: str, who: str, why: str) -> None:
    """Take `version` out of use: it can be neither served nor promoted.

    Raises:
        RegistryError: if it is champion, not there, or archived already.
    """
    _set_archived(client, model, version, who, why, archived=True)


def unarchive(client: "StoreClient", model: str, version: str, who: str, why: str) -> None:
    """Let `version` be used again.

    Raises:
        RegistryError: if it is not archived, or not there.
    """
    _set_archived(client, model, version, who, why, archived=False)


def _set_archived(client: "StoreClient", model: str, version: str, who: str, why: str, archived: bool) -> None:
    with store_errors(client.tracking_uri, f"{model}: cannot be changed"), lock(client, model) as held:
        champion = _recover_interrupted_change(client, model)
        if archived and champion == version:
            raise RegistryError(
                f"{model} version {version}: is champion; promote another or roll back before archiving"
            )
        found = version_named(client, model, version)
        if (found.tags.get(ARCHIVED) == "true") == archived:
            raise RegistryError(f"{model} version {version}: is {'' if archived else 'not '}archived; nothing to do")
        action = "archive" if archived else "unarchive"
        entry = write(client, model, Entry(0, version, action, INTENT, who, why, champion, champion))
        held.require()
        if archived:
            client.set_model_version_tag(model, version, ARCHIVED, "true")
        else:
            client.delete_model_version_tag(model, version, ARCHIVED)
        write(client, model, replace(entry, state=DONE))


def _move(client: "StoreClient", model: str, held: HeldLock, intent: Entry) -> None:
    """Move the alias, with an entry in the trail before and after; `held` is asked that the lock has not been lost."""
    entry = write(client, model, intent)
    held.require()
    _name_champion(client, model, entry.version)
    write(client, model, replace(entry, state=DONE))


def _name_champion(client: "StoreClient", model: str, version: str) -> None:
    """Move the alias by one request, given up while the lock is still held; one whose answer was lost has done it."""
    from mlflow import MlflowException

    try:
        with one_try():
            client.set_registered_model_alias(model, CHAMPION, version)
    except MlflowException:
        if champion_of(client, model) != version:
            raise


def _recover_interrupted_change(client: "StoreClient", model: str) -> str | None:
    """The champion; an entry of a change that was interrupted is first marked as done or not done, by what is there.

    A request that was given up may be carried out after a later change: then the later one is restored.
    """
    champion = champion_of(client, model)
    versions = versions_of(client, model)
    intent = open_intent(trail_of(versions))
    if intent is not None:
        tags = {str(one.version): one.tags for one in versions}
        is_archived = tags[intent.version].get(ARCHIVED) == "true"
        wanted = champion == intent.after if intent.action in CHANGES else is_archived == (intent.action == "archive")
        write(client, model, replace(intent, state=end_of(intent, wanted)))
        return champion
    late = overtaken(trail_of(versions), champion)
    if late is None:
        return champion
    _name_champion(client, model, str(late.after))
    why = f"a request for version {champion} was given up, and was carried out after this one"
    write(client, model, replace(late, state=DONE, why=why, before=late.after))
    return late.after


def require_usable(version: StoredVersion) -> None:
    """Refuse an archived version.

    Raises:
        RegistryError: saying how it comes back into use.
    """
    name, number = version.name, version.version
    if version.tags.get(ARCHIVED) == "true":
        raise RegistryError(
            f"{name} version {number}: is archived; `vaeforge models unarchive {name} {number}` comes first"
        )


def _named(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"
