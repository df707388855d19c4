"""Checks of what a search talks to: Ray and its token, the tracking server or database and its schema."""

import os
import re
import socket
import sqlite3
import stat
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from vaeforge.doctor.finding import Finding
from vaeforge.errors import TrackingError
from vaeforge.search.dispatch.ray_session import token_file
from vaeforge.track.store import database_of, redact, require_answer

ANSWER_SECONDS = 3.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def ray(address: str | None) -> Finding:
    """The cluster at `address` answers, Ray's token is asked for and is nobody else's."""
    if find_spec("ray") is None:
        return Finding("Ray", "fail", "not installed", "`pip install -r requirements.lock`")
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        advice = "unset RAY_AUTH_MODE: whoever reaches Ray without a token runs code as you"
        return Finding("Ray", "warn", "token authentication is off", advice)
    path = token_file()
    if path is not None and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        advice = f"`chmod 600 {path}`, and a new token where others use this machine; the next search does the first"
        return Finding("Ray", "warn", "others can read its token", advice)
    if address is None:
        return Finding("Ray", "ok", "one of each search's own, with a token of its own")
    return _cluster(address, path)


def _cluster(address: str, token: Path | None) -> Finding:
    if token is None and not os.environ.get("RAY_AUTH_TOKEN"):
        advice = (
            "put the cluster's token into RAY_AUTH_TOKEN, or the path of a file of mode 0600 into RAY_AUTH_TOKEN_PATH"
        )
        return Finding("Ray", "fail", f"no token for {address}", advice)
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():  # "auto": found by Ray itself
        return Finding("Ray", "ok", f"cluster {address}, with a token")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        advice = "start it, or unset RAY_ADDRESS for a search on this machine alone"
        return Finding("Ray", "fail", f"{address} does not answer ({error})", advice)
    return Finding("Ray", "ok", f"cluster {address} answers; with a token")


def tracking(uri: str) -> Finding:
    """The store of runs and models can be used; a database is opened for reading alone, and none is made."""
    if uri.startswith("sqlite:"):
        try:
            return _database(database_of(uri))
        except TrackingError as error:
            return Finding("tracking", "fail", redact(uri), str(error))
    if not uri.startswith(("http://", "https://")):
        return Finding("tracking", "ok", f"{redact(uri)}, not looked at")
    if (proxy := _proxy(uri)) is not None:
        advice = f"add {urlsplit(uri).hostname} to no_proxy: a proxy cannot reach this machine's own server"
        return Finding("tracking", "fail", f"{redact(uri)} would be asked through {redact(proxy)}", advice)
    try:
        require_answer(uri)
    except TrackingError as error:
        return Finding("tracking", "fail", redact(uri), str(error))
    return Finding("tracking", "ok", f"{redact(uri)} answers")


def _proxy(uri: str) -> str | None:
    """The proxy that stands before a server of this very machine."""
    parts = urlsplit(uri)
    if parts.hostname not in LOOPBACK or proxy_bypass(str(parts.hostname)):
        return None
    return getproxies().get(parts.scheme)


def _database(path: Path) -> Finding:
    if not path.exists():
        return Finding("tracking", "ok", f"{path} is made by the first search")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        advice = "have it writable, or name another store in MLFLOW_TRACKING_URI"
        return Finding("tracking", "fail", f"{path} cannot be written", advice)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=ANSWER_SECONDS)) as store:
            (schema,) = store.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        advice = "name MLflow's database in MLFLOW_TRACKING_URI, or bring a sound copy back"
        return Finding("tracking", "fail", f"{path} is no database of MLflow's ({error})", advice)
    newest = newest_schema()
    if newest is not None and schema != newest:
        advice = "`mlflow db upgrade` on a copy of an older one; for a newer one the MLflow that made it"
        return Finding("tracking", "fail", f"{path} has the schema {schema}, this MLflow {newest}", advice)
    return Finding("tracking", "ok", f"{path}, schema {schema}")


def newest_schema() -> str | None:
    """The schema of the MLflow that is installed, read off its migrations: importing it takes seconds."""
    spec = find_spec("mlflow")
    if spec is None or spec.submodule_search_locations is None:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "store/db_migrations/versions"
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    made, replaced = (
        {found for text in texts for found in re.findall(rf'^{name} = "(\w+)"', text, re.MULTILINE)}
        for name in ("revision", "down_revision")
    )
    newest = made - replaced
    return next(iter(newest)) if len(newest) == 1 else None
