"""History of champions, read off the audit trail: what a rollback goes back to."""

from collections.abc import Sequence

from vaeforge.registry.audit import DONE, INTENT, UNDONE, Entry

CHANGES = ("promote", "rollback")


def champion_stack(trail: Sequence[Entry], champion: str | None) -> list[str]:
    """The champions that lead to the present one, oldest first: a stack of which each rollback takes from the top.

    A champion that was set past this trail, by hand say, counts from the change that found it.
    """
    stack: list[str] = []
    for entry in trail:
        if entry.action in CHANGES and entry.state == DONE:
            _follow(stack, entry)
    _found(stack, champion)
    return stack


def previous_champion(trail: Sequence[Entry], champion: str | None, usable: set[str]) -> str | None:
    """The last champion before the present one that is `usable`; none if there is none."""
    earlier = champion_stack(trail, champion)[:-1] if champion is not None else champion_stack(trail, None)
    return next((version for version in reversed(earlier) if version in usable and version != champion), None)


def moved_by_hand(trail: Sequence[Entry], champion: str | None) -> str | None:
    """That the alias was moved past this trail, in words; none where the last change made the champion that there is.

    While a change is under way, and without any change in the trail, nothing is said.
    """
    done = [entry for entry in trail if entry.action in CHANGES and entry.state == DONE]
    if not done or open_intent(trail) is not None or done[-1].after == champion:
        return None
    made = f"version {done[-1].after}" if done[-1].after else "none"
    return f"moved by hand: the last recorded change made {made} champion"


def open_intent(trail: Sequence[Entry]) -> Entry | None:
    """The last entry, if it is an intent whose end was never written."""
    return trail[-1] if trail and trail[-1].state == INTENT else None


def overtaken(trail: Sequence[Entry], champion: str | None) -> Entry | None:
    """The last change, if a request of one that was given up before has moved the alias after it."""
    changes = [entry for entry in trail if entry.action in CHANGES]
    last = next((entry for entry in reversed(changes) if entry.state == DONE), None)
    if last is None or champion is None or last.after == champion:
        return None
    given_up = any(entry.state == UNDONE and entry.after == champion for entry in changes)
    return last if given_up else None


def end_of(intent: Entry, happened: bool) -> str:
    """How an intent that was cut off ended."""
    return DONE if happened else UNDONE


def _follow(stack: list[str], entry: Entry) -> None:
    _found(stack, entry.before)
    if entry.action == "rollback" and entry.after in stack:
        while stack[-1] != entry.after:
            stack.pop()
    else:
        _found(stack, entry.after)


def _found(stack: list[str], version: str | None) -> None:
    if version is not None and (not stack or stack[-1] != version):
        stack.append(version)
