"""Settings of a server: address, limits, token; all checked before it starts."""

import ipaddress
import socket
import ssl
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from vaeforge.errors import ConfigError
from vaeforge.job_limits import job_cores

TOKEN = "VAEFORGE_TOKEN"
SHORTEST = 16  # characters of a token
MB, MEGA = 2**20, 10**6
N = TypeVar("N", int, float)


@dataclass(frozen=True)
class RequestLimits:
    """What one server takes.

    Attributes:
        body: bytes of a request.
        samples: of a request.
        requests: that wait or are answered at a time; more are told to come again. Those that are still on their way do
            not count, see `Reception`.
        seconds: that a request may take, reading it included.
        pixels: of all pictures of a request, before they become samples.
        rate: requests a minute of one client, by its address; none for any number.
    """

    body: int = 32 * MB
    samples: int = 256
    requests: int = 32
    seconds: float = 30.0
    pixels: int = 100 * MEGA
    rate: int | None = None


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate and its key, by which the server speaks TLS."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class ServerSettings:
    """A server's settings.

    Attributes:
        host, port: where it listens; port 0 is any free one.
        threads: of one run of the graph; one core is left for reading requests.
        poll: seconds between two looks at where an alias points.
        limits: see `RequestLimits`.
        token: asked for in every request but those for its health; none asks for nothing.
        certificate: for TLS; none speaks plain HTTP.
    """

    host: str
    port: int
    threads: int
    poll: float
    limits: RequestLimits
    token: str | None = field(repr=False)
    certificate: Certificate | None = None


def resolve_settings(
    environment: Mapping[str, str],
    *,
    host: str | None = None,
    port: int | None = None,
    threads: int | None = None,
    poll: float | None = None,
    token_file: Path | None = None,
    max_body_mb: float | None = None,
    max_samples: int | None = None,
    max_requests: int | None = None,
    max_megapixels: float | None = None,
    timeout: float | None = None,
    rate: int | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> ServerSettings:
    """Settings out of command-line options, whose names the arguments bear; what is none has its default.

    Args:
        environment: where the token is, if there is no file.
        host: where to listen; one that others can reach needs a token.
        port: 0 is any free one.
        threads: of one run of the graph.
        poll: seconds between two looks at an alias.
        token_file: holds the token.
        max_body_mb: size of a request.
        max_samples: of a request.
        max_requests: at a time.
        max_megapixels: of all pictures of a request.
        timeout: seconds that a request may take.
        rate: requests a minute of one client.
        certificate: file of the certificate chain, PEM; TLS with `key`.
        key: file of its private key, PEM, without a password.

    Raises:
        ConfigError: with every problem: a number out of its range, a token file or key that others can read, a host
            that others can reach without a token, a certificate that is none.
    """
    problems: list[str] = []
    standard, cores = RequestLimits(), job_cores()

    def within(option: str, value: N | None, default: N, low: float, high: float) -> N:
        if value is not None and not low <= value <= high:
            kind = "a whole number" if isinstance(default, int) else "a number"
            problems.append(f"--{option}: got {value!r}, must be {kind} from {low:g} to {high:g}")
            return default
        return default if value is None else value

    limits = RequestLimits(
        body=int(within("max-body-mb", max_body_mb, standard.body / MB, 0.001, 4096) * MB),
        samples=within("max-samples", max_samples, standard.samples, 1, 65536),
        requests=within("max-requests", max_requests, standard.requests, 1, 4096),
        seconds=within("timeout", timeout, standard.seconds, 0.1, 3600),
        pixels=int(within("max-megapixels", max_megapixels, standard.pixels / MEGA, 0.001, 65536) * MEGA),
        rate=None if rate is None else within("rate", rate, 600, 1, 10**6),
    )
    port = within("port", port, 8080, 0, 65535)
    threads = within("threads", threads, max(1, cores - 1), 1, 1024)
    poll = within("poll", poll, 5.0, 0.1, 86400)
    host = host or "127.0.0.1"
    token = _collected(problems, lambda: token_of(token_file, environment))
    pair = _collected(problems, lambda: certificate_of(certificate, key))
    if not problems:
        _collected(problems, lambda: require_token(host, token))
    if problems:
        raise ConfigError(problems)
    return ServerSettings(host, port, threads, poll, limits, token, pair)


def token_of(path: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token in the file at `path`, else in VAEFORGE_TOKEN, else none.

    Raises:
        ConfigError: if the file is missing or open to others, or the token is short or no plain text.
    """
    where, token = (path, _secret(path)) if path else (TOKEN, environment.get(TOKEN, "").strip())
    if not token and not path:
        return None
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{where}: must hold a token of at least {SHORTEST} printable ASCII characters without spaces, "
            "say from `openssl rand -hex 32`"
        )
    return token


def certificate_of(certificate: Path | None, key: Path | None) -> Certificate | None:
    """A certificate and its key that belong together; none where neither is given.

    Raises:
        ConfigError: if one lacks the other, or a file cannot be used, or others can read the key.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("--certificate, --key: got one of them, must be both or neither")
    try:
        _require_private(key, "--key")
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, _no_password)
    except OSError as error:  # ssl's own errors among them
        raise ConfigError(
            f"--certificate {certificate} --key {key}: cannot be used ({error}); give a PEM file with the certificate "
            "chain and one with its private key, without a password"
        ) from None
    return Certificate(certificate, key)


def _no_password() -> str:
    """Asked for where a key has a password, instead of a person at a terminal."""
    return ""


def require_token(host: str, token: str | None) -> None:
    """Refuse to listen where other machines can reach, unless a token is asked for.

    Raises:
        ConfigError: see above, or if the host is unknown.
    """
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise ConfigError(f"--host: got {host!r}, which is no address of this machine ({error})") from None
    if token is None and not all(ipaddress.ip_address(address.split("%")[0]).is_loopback for address in found):
        raise ConfigError(
            f"--host: got {host!r}, which other machines may reach; set {TOKEN} or --token-file, or listen on 127.0.0.1"
        )


def _secret(path: Path) -> str:
    try:
        _require_private(path, "--token-file")
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file: {path} cannot be read ({error})") from None


def _require_private(path: Path, option: str) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(f"{option}: {path} has mode {mode:04o}, must be 0600; run `chmod 600 {path}`")


def _collected(problems: list[str], check: Callable[[], Any]) -> Any:
    try:
        return check()
    except ConfigError as error:
        problems += error.problems
        return None
