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


def words(value: str | None) -> list[str]:
    """The parts of a text with spaces or commas between them: several `path=value` in one option."""
    return [part for part in (value or "").replace(",", " ").split() if part]
