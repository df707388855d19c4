"""Progress of a step: steps report how far they have come, whoever listens shows it, and neither knows the other.

A step goes through its items by `through`, or opens a `part` with units of its own; parts lie within one another. Where
nobody listens nothing happens. A listener hears the thread that it listens in: what other threads do is counted where
their results are taken.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class Part:
    """A part of a step that is under way.

    Attributes:
        what: its name, for people.
        total: its units; none: nobody knows.
        done: units that are done, those included that an earlier session has done.
        span: how many units of the part around it this one makes.
        note: what is said beside it, a speed, say.
    """

    what: str
    total: float | None = None
    done: float = 0
    span: float = 0
    note: str = ""
    _tell: Callable[[], None] = field(default=lambda: None, repr=False)

    def advance(self, units: float = 1, note: str = "") -> None:
        """So many more units are done."""
        self.done, self.note = self.done + units, note
        self._tell()

    def reach(self, units: float) -> None:
        """At least so many units are done, whatever the parts within have made of them."""
        self.done = max(self.done, units)
        self._tell()


Listener = Callable[[Sequence[Part]], None]  # takes the open parts, the outermost first; none: nothing is under way


class _Heard:
    """A listener and the parts that are open."""

    def __init__(self, listener: Listener):
        self.listener = listener
        self.parts: list[Part] = []

    def tell(self) -> None:
        self.listener(tuple(self.parts))


_HEARD: ContextVar[_Heard | None] = ContextVar("heard", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener` hear of every part until the end of the block."""
    token = _HEARD.set(_Heard(listener))
    try:
        yield
    finally:
        _HEARD.reset(token)


@contextmanager
def part(what: str, total: float | None = None, done: float = 0, span: float = 0) -> Iterator[Part]:
    """A part of a step; when it ends, the part around it has come `span` units further."""
    heard = _HEARD.get()
    if heard is None:
        yield Part(what, total, done, span)
        return
    around, own = (heard.parts[-1] if heard.parts else None), Part(what, total, done, span, _tell=heard.tell)
    heard.parts.append(own)
    heard.tell()
    try:
        yield own
    finally:
        heard.parts.remove(own)
        if around is not None:
            around.done += span
        heard.tell()


def through(items: Sequence[T], what: str, span: float = 0) -> Iterator[T]:
    """The items one by one, each reported when the next one is asked for."""
    with part(what, len(items), span=span) as own:
        for item in items:
            yield item
            own.advance()


def share(parts: Sequence[Part]) -> float | None:
    """Which share of the outermost of `parts` is done, between 0 and 1; none where its units are not known."""
    inner: float | None = None
    reached = 0.0
    for one in reversed(parts):
        inner = min((one.done + reached) / one.total, 1.0) if one.total else None
        reached = one.span * (inner or 0.0)
    return inner
