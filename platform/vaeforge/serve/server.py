"""Server process from its settings to its end: the model first, then the address, then requests until a signal.

SIGTERM and SIGINT: no new connections, requests in flight are answered for at most `GRACE` seconds, and the process
ends by that signal.
"""

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn

from vaeforge.errors import ConfigError
from vaeforge.package.input_check import lacking
from vaeforge.paths import Project
from vaeforge.registry.fetch import fetch, full_reference
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import load
from vaeforge.serve.reload import ActiveModel, RegistryWatcher, is_registered
from vaeforge.serve.request_parsing import take_long
from vaeforge.serve.settings import ServerSettings

GRACE = 10


def serve(
    reference: str, settings: ServerSettings, project: Project, tracking_uri: str, say: Callable[[str], None]
) -> None:
    """Answer requests with the model called `reference` (see `fetch`) until a signal ends the process.

    An alias is followed, and what is archived is withdrawn; a folder stays what it is.

    Raises:
        ConfigError: if the address cannot be had.
        RegistryError, DataError, TrackingError: if the model cannot be had or used; see `fetch` and `load`.
    """
    log_to_stderr()
    reference = full_reference(reference, tracking_uri)
    fetched = fetch(reference, project, tracking_uri)
    active = ActiveModel(load(fetched, settings.threads))
    state = AppState(active, settings.limits, settings.token)
    watcher: RegistryWatcher | None = None
    if is_registered(reference):
        watcher = RegistryWatcher(active, reference, project, tracking_uri, settings.threads)

    async def background() -> None:
        await state.work.run(partial(take_long, (), settings.limits))  # so that no request waits for its start
        if watcher is not None:
            await watcher.run(settings.poll)

    with listening(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if active.model.check is None:
            say(f"note: {lacking(fetched.name)}")
        scheme = "https" if settings.certificate else "http"
        say(f"serving {fetched.name} at {scheme}://{address} (what it takes: {scheme}://{address}/openapi.json)")
        configuration = uvicorn.Config(
            build_app(state, background),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            lifespan="on",
            **_tls(settings),
        )
        uvicorn.Server(configuration).run(sockets=[listener])


def _tls(settings: ServerSettings) -> dict[str, Any]:
    pair = settings.certificate
    return {} if pair is None else {"ssl_certfile": str(pair.certificate), "ssl_keyfile": str(pair.key)}


def log_to_stderr() -> None:
    """One line for each request, and for what the server has to say, with the time."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = logging.getLogger("vaeforge.serve")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)


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
