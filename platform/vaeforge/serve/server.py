"""Server process from its settings to its end: the model first, then the address, then requests until a signal.

SIGTERM and SIGINT: no new connections, requests in flight are answered for at most `GRACE` seconds, and the process
ends by that signal.
"""

import socket
from collections.abc import Callable
from functools import partial

import uvicorn

from vaeforge.errors import ConfigError
from vaeforge.package.input_check import lacking
from vaeforge.paths import Project
from vaeforge.registry.fetch import fetch
from vaeforge.serve.app import AppState, Background, build_app
from vaeforge.serve.model import load
from vaeforge.serve.reload import ActiveModel, AliasWatcher, is_alias
from vaeforge.serve.settings import ServerSettings

GRACE = 10


def serve(
    reference: str, settings: ServerSettings, project: Project, tracking_uri: str, say: Callable[[str], None]
) -> None:
    """Answer requests with the model called `reference` (see `fetch`) until a signal ends the process.

    An alias is followed; a version and a folder stay what they are.

    Raises:
        ConfigError: if the address cannot be had.
        RegistryError, DataError, TrackingError: if the model cannot be had or used; see `fetch` and `load`.
    """
    fetched = fetch(reference, project, tracking_uri)
    active = ActiveModel(load(fetched, settings.threads))
    state = AppState(active, settings.limits, settings.token)
    background: Background | None = None
    if is_alias(reference):
        watcher = AliasWatcher(
            active, reference, project, tracking_uri, settings.threads, lambda: say(f"now {active.model.fetched.name}")
        )
        background = partial(watcher.run, settings.poll)
    with listening(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if active.model.check is None:
            say(f"note: {lacking(fetched.name)}")
        say(f"serving {fetched.name} at http://{address} (documentation: http://{address}/docs)")
        configuration = uvicorn.Config(
            build_app(state, background),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            lifespan="on",
        )
        uvicorn.Server(configuration).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at `host` and `port`; connections wait in it until the server takes them.

    They inherit TCP_NODELAY, which asyncio gives only to sockets that were made with the number of TCP's protocol.
    Without it, each second request of a kept connection waits 40 ms for an acknowledgement that the client delays.

    Raises:
        ConfigError: if the address is taken or not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: cannot be listened at ({error}); choose another") from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
