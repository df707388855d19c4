"""The `space:` of a space file: a mapping of paths to descriptions of ranges and choices, read into dimensions."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, InstanceOf, model_validator

from vaeforge.errors import nearest
from vaeforge.search.space.dimensions import Choice, Dimension, Range, is_number, walk
from vaeforge.search.space.form import Form, gather, refuse

FORMS = "{int: [low, high]}, {float: [low, high]} or {choice: …}"
OPTION = (str, int, float, type(None))  # true and false are integers to Python; Optuna keeps no other options


def read_dimensions(content: Any) -> tuple[Dimension, ...]:
    """The dimensions that a mapping of path to description describes, each with a name of its own.

    Raises:
        ValidationError: with every problem.
    """
    found = _below(content)
    twice: dict[str, None] = {}
    _paths(found, twice)
    if twice:
        refuse([((path,), "is described twice for the same trial; keep one") for path in twice])
    return _qualified(found)


def _below(content: Any) -> tuple[Dimension, ...]:
    if not isinstance(content, Mapping):
        refuse([((), f"got {content!r}, must be a mapping of paths to ranges or choices")])
    return tuple(gather([(str(path), partial(_read, path, described)) for path, described in content.items()]))


def _read(path: Any, description: Any) -> Dimension:
    if not isinstance(path, str):
        refuse([((), "must be a path such as model.latent_dim")])
    kinds = [kind for kind in KINDS if isinstance(description, Mapping) and kind in description]
    if len(kinds) != 1:
        refuse([((), f"got {description!r}, must be {FORMS}")])
    return KINDS[kinds[0]].model_validate(description).dimension(path)


class DimensionForm(Form):
    """What a dimension's description may hold; `main_key` is the key that says of which kind it is."""

    @classmethod
    def unknown(cls, key: str) -> str:
        return f"unknown key {key!r} beside {cls.main_key!r}{nearest(key, cls.keys())}"

    @abstractmethod
    def dimension(self, path: str) -> Dimension:
        """The dimension at `path`, named by its path."""


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        refuse([((), f"got {value!r}, must be true or false")])
    return value


class RangeForm(DimensionForm):
    """`{int: [low, high]}` or `{float: [low, high]}`, each with `log: true` where it is sampled in the logarithm."""

    log: Annotated[bool, BeforeValidator(_flag)] = False
    bounds: list[Any]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.bounds
        if low > high:
            refuse([((), f"low is {low} and high is {high}, low must be <= high")])
        if self.log and low <= 0:
            refuse([((), f"low is {low} on a logarithmic scale, must be > 0")])
        return self

    def dimension(self, path: str) -> Range:
        low, high = self.bounds
        return Range(path, path, low, high, self.main_key == "int", self.log)


def _bounds(kind: str, types: type | tuple[type, ...]) -> BeforeValidator:
    def check(bounds: Any) -> Any:
        two = isinstance(bounds, list) and len(bounds) == 2
        if not (two and all(is_number(bound) and isinstance(bound, types) for bound in bounds)):
            refuse([((), f"got {bounds!r}, must be [low, high] with two {kind}s")])
        return bounds

    return BeforeValidator(check)


class IntForm(RangeForm):
    """Integers, both ends included."""

    main_key: ClassVar[str] = "int"
    bounds: Annotated[list[Any], _bounds("int", int)] = Field(alias="int")


class FloatForm(RangeForm):
    """Numbers, both ends included."""

    main_key: ClassVar[str] = "float"
    bounds: Annotated[list[Any], _bounds("float", (int, float))] = Field(alias="float")


def _options(options: Any) -> dict[Any, tuple[Dimension, ...]]:
    """Each option with the dimensions that it opens."""
    if not isinstance(options, (list, Mapping)) or not options:
        refuse([((), f"got {options!r}, must be a list of options or a mapping of option to dimensions")])
    wrong = [option for option in options if not isinstance(option, OPTION)]
    if wrong:
        refuse([((), f"got the option {wrong[0]!r}, must be text, a number, true or false")])
    opened = options if isinstance(options, Mapping) else dict.fromkeys(options)
    if len(opened) < len(options):
        refuse([((), f"got {options!r}, must name each option once")])
    found = gather([(f".{option}", partial(_below, below or {})) for option, below in opened.items()])
    return dict(zip(opened, found, strict=True))


class ChoiceForm(DimensionForm):
    """`{choice: [a, b]}`, or a mapping of each option to the dimensions that it opens."""

    main_key: ClassVar[str] = "choice"
    options: Annotated[InstanceOf[dict[Any, Any]], BeforeValidator(_options)] = Field(alias="choice")

    def dimension(self, path: str) -> Choice:
        return Choice(path, self.options)


KINDS: Mapping[str, type[DimensionForm]] = {kind.main_key: kind for kind in (IntForm, FloatForm, ChoiceForm)}


def _paths(dimensions: tuple[Dimension, ...], twice: dict[str, None]) -> set[str]:
    """Every path that can be open; those of two dimensions that stand beside or below one another join `twice`."""
    found: set[str] = set()
    for dimension in dimensions:
        opened = {dimension.path}
        if isinstance(dimension, Choice):
            below = [_paths(options, twice) for options in dimension.options.values()]
            opened = set[str]().union({dimension.path}, *below)
            twice |= dict.fromkeys(path for paths in below for path in paths & {dimension.path})
        twice |= dict.fromkeys(sorted(found & opened))
        found |= opened
    return found


def _qualified(dimensions: tuple[Dimension, ...], under: tuple[str, ...] = ()) -> tuple[Dimension, ...]:
    """`dimensions` with a name of its own for each set of options under which one is open: `beta.value@linear`."""
    return tuple(_named(dimension, _name(dimension.path, under), under) for dimension in dimensions)


def _name(path: str, under: tuple[str, ...]) -> str:
    return f"{path}@{'.'.join(under)}" if under else path


def _named(dimension: Dimension, name: str, under: tuple[str, ...]) -> Dimension:
    if isinstance(dimension, Range):
        return Range(dimension.path, name, dimension.low, dimension.high, dimension.integer, dimension.log)
    opened = {option: _qualified(below, (*under, str(option))) for option, below in dimension.options.items()}
    return Choice(dimension.path, opened, name)


def share_names(dimensions: tuple[Dimension, ...]) -> tuple[Dimension, ...]:
    """Give a dimension its plain path as name where all options agree on it, so that they learn from one another."""
    kinds: dict[str, set[tuple[Any, ...]]] = {}
    for dimension in walk(dimensions):
        kinds.setdefault(dimension.path, set()).add(_kind(dimension))

    def renamed(dimension: Dimension) -> Dimension:
        name = dimension.path if len(kinds[dimension.path]) == 1 else dimension.name
        if isinstance(dimension, Range):
            return Range(dimension.path, name, dimension.low, dimension.high, dimension.integer, dimension.log)
        return Choice(dimension.path, {o: tuple(map(renamed, below)) for o, below in dimension.options.items()}, name)

    return tuple(map(renamed, dimensions))


def _kind(dimension: Dimension) -> tuple[Any, ...]:
    """What two dimensions of one path share if a model may take them for one."""
    if isinstance(dimension, Range):
        return (dimension.low, dimension.high, dimension.integer, dimension.log)
    return tuple(dimension.options)
