"""Types of command-line options: integers, numbers, on/off, choices, paths, comma lists; an empty text is "not given".

`mlflow run` passes `''` for every parameter that is not set, and typer has no type that takes it for "not given". Each
type here has a name for the help, and a function from the text to the value. What is wrong with options is collected
and raised at once, as one `ConfigError`, before the command begins.

On/off options take a value (`--resume true`, `--resume ''`) and are on without one: at the end of the call, or before
another option.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperOption

from vaeforge.errors import ConfigError, nearest

if TYPE_CHECKING:
    OnOff = bool
    OptionalOnOff = bool | None
    Words = tuple[str, ...]
    Pairs = dict[str, str]
else:
    # typer goes by the annotation: it makes a flag without a value of bool, and several values of a tuple
    OnOff = OptionalOnOff = Words = Pairs = str

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
OptionalStr = str | None
OptionalInt = int | None
OptionalFloat = float | None
OptionalPath = Path | None
NO_PAIRS: Pairs = {}  # the default of options that take pairs; commands do not change what they are given
_PROBLEMS = "vaeforge.problems"
ASSIGNMENT = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+=")  # of a setting, which no file is likely to be called


class InvalidValueError(Exception):
    """A text that is no value of an option's type: what was given, and what it must be."""

    def __init__(self, given: object, rule: str):
        self.given, self.rule = given, rule
        super().__init__(f"got {given!r}, must be {rule}")


@dataclass(frozen=True)
class OptionType(Generic[T]):
    """One kind of value.

    Attributes:
        metavar: what the help calls it.
        read: the value of a text that is not empty; raises `InvalidValueError`.
    """

    metavar: str
    read: Callable[[str], T]

    def option(self, help: str, *names: str, default: str = "", metavar: str = "") -> Any:
        """An option of this type.

        Args:
            help: what it is for.
            names: with the dashes, where they are not those of the parameter.
            default: what holds where it is not given, in words for the help.
            metavar: a better name for the values of this option.
        """
        return typer.Option(
            *names,
            help=help + (" " + escape(f"[default: {default}]") if default else ""),
            metavar=metavar or self.metavar,
            parser=_unread,
            callback=self._convert,
            show_default=False,
        )

    def argument(self, help: str, metavar: str) -> Any:
        """A positional argument of this type."""
        return typer.Argument(help=help, metavar=metavar, parser=_unread, callback=self._convert, show_default=False)

    def _convert(self, ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
        """The value of an option's text; its default for an empty one."""
        if not isinstance(value, str):
            return value
        text = value.strip()
        if not text:
            return param.default
        try:
            return self.read(text)
        except InvalidValueError as error:
            ctx.meta.setdefault(_PROBLEMS, []).append(f"{param.opts[0]}: {error}")
            return param.default


class Command(TyperCommand):
    """A command whose on/off options may stand alone, and that tells all wrong options at once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        on_off = {name for param in self.params if _is_on_off(param) for name in param.opts}
        several = any("--set" in param.opts for param in self.params)
        return super().parse_args(ctx, with_values(repeated(args) if several else args, on_off))

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            ConfigError: if options have been given values that they cannot take.
        """
        if problems := ctx.meta.get(_PROBLEMS):
            raise ConfigError(problems)
        return super().invoke(ctx)


class Commands(typer.Typer):
    """A group of such commands."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        return super().command(name, cls=Command, **settings)


def with_values(args: Sequence[str], on_off: set[str]) -> list[str]:
    """`args` with `true` after each option of `on_off` that is the last one or has another option after it."""
    found: list[str] = []
    for place, word in enumerate(args):
        found.append(word)
        if word == "--":
            return [*found, *args[place + 1 :]]
        if word in on_off and (place + 1 == len(args) or args[place + 1].startswith("-")):
            found.append("true")
    return found


def repeated(args: Sequence[str], option: str = "--set") -> list[str]:
    """`args` with `option` before each further `section.key=value` that follows one: `--set a.b=1 c.d=2` is both."""
    found: list[str] = []
    following = False  # whether the word before was a value of the option
    for place, word in enumerate(args):
        if word == "--":
            return [*found, *args[place:]]
        value = bool(found) and found[-1] == option
        if following and not value and ASSIGNMENT.match(word):
            found.append(option)
            value = True
        following = value or word.startswith(f"{option}=")
        found.append(word)
    return found


def _is_on_off(param: Any) -> bool:
    return isinstance(param, TyperOption) and param.metavar == ON_OFF.metavar


def _unread(value: Any) -> Any:
    """For typer, which would otherwise read the value by the annotation's type."""
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidValueError(text, "a whole number") from None


def _positive(text: str) -> int:
    value = _integer(text)
    if value < 1:
        raise InvalidValueError(value, ">= 1")
    return value


def _not_negative(text: str) -> int:
    value = _integer(text)
    if value < 0:
        raise InvalidValueError(value, ">= 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidValueError(text, "a number") from None


def _on_off(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidValueError(text, "true or false")
    return text.lower() == "true"


def _words(text: str) -> tuple[str, ...]:
    """Words between commas; one that holds a comma stands in double quotes."""
    words = next(csv.reader([text], skipinitialspace=True), [])
    return tuple(word.strip() for word in words if word.strip())


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in _words(text):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not (key and equals and value):
            raise InvalidValueError(word, "key=value pairs separated by commas, say x=xccf,y=yccf")
        found[key] = value
    return found


def choice(*allowed: str) -> OptionType[Any]:
    """One of the texts `allowed`; annotate the parameter with their `Literal`."""

    def read(text: str) -> str:
        if text not in allowed:
            listed = " or ".join([*filter(None, [", ".join(allowed[:-1])]), allowed[-1]])
            raise InvalidValueError(text, listed + nearest(text, allowed))
        return text

    return OptionType("|".join(allowed), read)


TEXT = OptionType("TEXT", str)
INTEGER = OptionType("INTEGER", _integer)
POSITIVE = OptionType("INTEGER", _positive)
NOT_NEGATIVE = OptionType("INTEGER", _not_negative)
NUMBER = OptionType("FLOAT", _number)
ON_OFF = OptionType("BOOLEAN", _on_off)
PATH = OptionType("PATH", Path)
WORDS = OptionType("TEXT,…", _words)
PAIRS = OptionType("KEY=VALUE,…", _pairs)
