"""Forms: typed settings whose problems read `where: got X, must be Y`, all of them at once.

A form is checked by pydantic. What pydantic finds is put into words where it is found, so that nested forms, and
functions that `refuse`, add to one list; `checked` makes that list a ConfigError.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NoReturn, Self, TypeVar

from pydantic import BeforeValidator, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from vaeforge.errors import ConfigError, nearest
from vaeforge.search.space.dimensions import is_number
from vaeforge_models.settings import Settings

IN_WORDS = "in_words"
BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
T = TypeVar("T")


class Form(Settings):
    """Settings that are read from a mapping of a file or of the command line.

    Attributes:
        example: what a mapping of this form looks like, for who gave something else.
        main_key: the key that says what the form is; its problems are reported without its name in the path.
    """

    example: ClassVar[str] = ""
    main_key: ClassVar[str] = ""

    @classmethod
    def keys(cls) -> list[str]:
        """The keys that a mapping of this form may have."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def unknown(cls, key: str) -> str:
        """What is wrong with a key that the form does not have."""
        return f"unknown key {key!r}{nearest(key, cls.keys())}"

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, content: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(content)
        except ValidationError as error:
            refuse([cls._told(item) for item in error.errors()])

    @classmethod
    def _told(cls, item: Any) -> tuple[tuple[str, ...], str]:
        """Where, within this form, and what is wrong."""
        path, kind = tuple(map(str, item["loc"])), item["type"]
        if kind == "extra_forbidden":
            return (), cls.unknown(path[0])
        if kind == "model_type":
            return (), f"got {item['input']!r}, must be a mapping such as {cls.example}"
        text = item["msg"] if kind == IN_WORDS else f"got {item['input']!r}, {_rule(item)}"
        return path[1:] if path[:1] == (cls.main_key,) else path, text


def _rule(item: Any) -> str:
    context = item.get("ctx") or {}
    if item["type"] == "missing":
        return "must be given"
    for name, sign in BOUNDS.items():
        if name in context:
            return f"must be {sign} {context[name]}"
    return f"must be {context['expected']}" if "expected" in context else str(item["msg"])


def refuse(problems: Sequence[tuple[tuple[str, ...], str]]) -> NoReturn:
    """Raise each of `problems`: where, below what is being validated, and what is wrong."""
    lines: list[InitErrorDetails] = [
        {"type": PydanticCustomError(IN_WORDS, text), "loc": path, "input": None} for path, text in problems
    ]
    raise ValidationError.from_exception_data("form", lines)


def gather(parts: Iterable[tuple[str, Callable[[], T]]]) -> list[T]:
    """The results of all parts, or the problems of all those that fail, each below its name."""
    found: list[T] = []
    problems: list[tuple[tuple[str, ...], str]] = []
    for name, part in parts:
        try:
            found.append(part())
        except ValidationError as error:
            problems += [((name, *map(str, item["loc"])), item["msg"]) for item in error.errors()]
    if problems:
        refuse(problems)
    return found


def problems_of(error: ValidationError, where: str) -> list[str]:
    """Each problem with its place; a part of a place that begins with a dot belongs to the one before it."""
    found = []
    for item in error.errors():
        place = "".join(part if part.startswith(".") else f": {part}" for part in map(str, item["loc"]))
        found.append(f"{where}{place}: {item['msg']}")
    return found


def checked(part: Callable[[], T], where: str) -> T:
    """What `part` gives.

    Raises:
        ConfigError: with every problem that it finds.
    """
    try:
        return part()
    except ValidationError as error:
        raise ConfigError(problems_of(error, where)) from None


def mapping(example: str) -> BeforeValidator:
    """Refuses what is no mapping, and shows one."""

    def check(content: Any) -> Any:
        if not isinstance(content, Mapping):
            refuse([((), f"got {content!r}, must be a mapping such as {example}")])
        return content

    return BeforeValidator(check)


def _number(value: Any) -> float:
    if not is_number(value):
        refuse([((), f"got {value!r}, must be a number")])
    return float(value)


def whole_number(least: int) -> BeforeValidator:
    """Refuses what is no integer of at least `least`; true and false are none."""

    def check(value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            refuse([((), f"got {value!r}, must be an integer >= {least}")])
        return value

    return BeforeValidator(check)


Number = Annotated[float, BeforeValidator(_number)]
