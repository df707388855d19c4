"""From the `space:` mapping of a space file to dimensions; whatever is wrong joins one list of problems."""

from collections.abc import Mapping
from typing import Any

from vaeforge.errors import nearest
from vaeforge.search.space.dimensions import Choice, Dimension, Range, walk
from vaeforge.search.space.parse_helpers import is_number

FORMS = "{int: [low, high]}, {float: [low, high]} or {choice: …}"
KINDS = ("int", "float", "choice")
OPTION = (str, int, float, type(None))  # true and false are integers to Python; Optuna keeps no other options


def parse_dimensions(
    content: Any, where: str, problems: list[str], under: tuple[str, ...] = ()
) -> tuple[Dimension, ...]:
    """The dimensions that a mapping of path to description describes.

    Args:
        content: the mapping.
        where: of messages.
        problems: what is wrong is added here.
        under: the options that are chosen where these dimensions are open, outermost first.
    """
    if not isinstance(content, Mapping):
        problems.append(f"{where}: got {content!r}, must be a mapping of paths to ranges or choices")
        return ()
    parsed = [_parse(path, description, where, problems, under) for path, description in content.items()]
    return tuple(dimension for dimension in parsed if dimension is not None)


def _parse(path: Any, description: Any, where: str, problems: list[str], under: tuple[str, ...]) -> Dimension | None:
    where = f"{where}: {path}"
    if not isinstance(path, str):
        problems.append(f"{where}: must be a path such as model.latent_dim")
        return None
    kinds = [kind for kind in KINDS if isinstance(description, Mapping) and kind in description]
    if len(kinds) != 1:
        problems.append(f"{where}: got {description!r}, must be {FORMS}")
        return None
    allowed = {kinds[0]} if kinds[0] == "choice" else {kinds[0], "log"}
    for key in description:
        if key not in allowed:
            problems.append(f"{where}: unknown key {key!r} beside {kinds[0]!r}{nearest(key, allowed)}")
            return None
    if kinds[0] == "choice":
        return _parse_choice(path, description["choice"], where, problems, under)
    return _parse_range(path, description, kinds[0], where, problems, under)


def _parse_choice(path: str, options: Any, where: str, problems: list[str], under: tuple[str, ...]) -> Choice | None:
    if not isinstance(options, (list, Mapping)) or not options:
        problems.append(f"{where}: got {options!r}, must be a list of options or a mapping of option to dimensions")
        return None
    wrong = [option for option in options if not isinstance(option, OPTION)]
    if wrong:
        problems.append(f"{where}: got the option {wrong[0]!r}, must be text, a number, true or false")
        return None
    opened = options if isinstance(options, Mapping) else dict.fromkeys(options)
    if len(opened) < len(options):
        problems.append(f"{where}: got {options!r}, must name each option once")
        return None
    parsed = {
        option: parse_dimensions(below or {}, f"{where}.{option}", problems, (*under, str(option)))
        for option, below in opened.items()
    }
    return Choice(path, parsed, _qualified(path, under))


def _parse_range(
    path: str, description: Mapping[str, Any], kind: str, where: str, problems: list[str], under: tuple[str, ...]
) -> Range | None:
    bounds, log = description[kind], description.get("log", False)
    wanted: type | tuple[type, ...] = int if kind == "int" else (int, float)
    two = isinstance(bounds, list) and len(bounds) == 2
    if not (two and all(is_number(bound) and isinstance(bound, wanted) for bound in bounds)):
        problems.append(f"{where}: got {bounds!r}, must be [low, high] with two {kind}s")
        return None
    if not isinstance(log, bool):
        problems.append(f"{where}: log: got {log!r}, must be true or false")
        return None
    low, high = bounds
    if low > high:
        problems.append(f"{where}: low is {low} and high is {high}, low must be <= high")
        return None
    if log and low <= 0:
        problems.append(f"{where}: low is {low} on a logarithmic scale, must be > 0")
        return None
    return Range(path, _qualified(path, under), low, high, kind == "int", log)


def _qualified(path: str, under: tuple[str, ...]) -> str:
    """A name of its own for each branch: `beta.value@linear`."""
    return f"{path}@{'.'.join(under)}" if under else path


def share_names(dimensions: tuple[Dimension, ...]) -> tuple[Dimension, ...]:
    """Give a dimension its plain path as name where all branches agree on it, so that they learn from one another."""
    kinds: dict[str, set[tuple[Any, ...]]] = {}
    for dimension in walk(dimensions):
        kinds.setdefault(dimension.path, set()).add(_kind(dimension))

    def renamed(dimension: Dimension) -> Dimension:
        name = dimension.path if len(kinds[dimension.path]) == 1 else dimension.name
        if isinstance(dimension, Range):
            return Range(dimension.path, name, dimension.low, dimension.high, dimension.whole, dimension.log)
        return Choice(dimension.path, {o: tuple(map(renamed, below)) for o, below in dimension.options.items()}, name)

    return tuple(map(renamed, dimensions))


def _kind(dimension: Dimension) -> tuple[Any, ...]:
    """What two dimensions of one path share if a model may take them for one."""
    if isinstance(dimension, Range):
        return (dimension.low, dimension.high, dimension.whole, dimension.log)
    return tuple(dimension.options)


def refuse_twice(dimensions: tuple[Dimension, ...], where: str, problems: list[str]) -> None:
    """Add a problem for each path that two dimensions describe which can be open at the same time."""
    twice: dict[str, None] = {}
    _paths(dimensions, twice)
    problems += [f"{where}: {path}: is described twice for the same trial; keep one" for path in twice]


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
