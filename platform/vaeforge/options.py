"""How options are read, so that the same words work at every door: an empty string means unset, booleans are words."""

from vaeforge.errors import ConfigError


def text(value: str | None) -> str | None:
    """The text, or none for an empty one."""
    return value.strip() or None if value is not None else None


def integer(name: str, value: str | None) -> int | None:
    """The whole number in `value`, or none for an empty text.

    Raises:
        ConfigError: if it is something else.
    """
    given = text(value)
    if given is None:
        return None
    try:
        return int(given)
    except ValueError:
        raise ConfigError(f"--{name}: got {given!r}, must be a whole number") from None


def boolean(name: str, value: str | None, default: bool) -> bool:
    """`true` or `false`, or the default for an empty text.

    Raises:
        ConfigError: if it is something else.
    """
    given = text(value)
    if given is None:
        return default
    if given.lower() not in ("true", "false"):
        raise ConfigError(f"--{name}: got {given!r}, must be true or false")
    return given.lower() == "true"


def words(given: str | None) -> tuple[str, ...]:
    """Words separated by commas."""
    return tuple(word.strip() for word in (given or "").split(",") if word.strip())


def pairs(name: str, given: str | None) -> dict[str, str]:
    """`key=value` pairs separated by commas.

    Raises:
        ConfigError: if one is no pair.
    """
    found: dict[str, str] = {}
    for word in words(given):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not (key and equals and value):
            raise ConfigError(f"--{name}: got {word!r}, must be key=value pairs separated by commas, say x=xccf,y=yccf")
        found[key] = value
    return found
