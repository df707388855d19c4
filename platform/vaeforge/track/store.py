"""MLflow store of a project: which one it is, and how it is opened so that many processes may open it at once.

MLflow is imported inside the functions: that takes seconds, and it reads its privacy settings while it is imported.
"""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from filelock import FileLock

from vaeforge.errors import TrackingError
from vaeforge.track.relocation import moved_from
from vaeforge.track.server_database import open_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from vaeforge.track.store_client import StoreClient

_SQLITE = "sqlite:///"
ANSWER_SECONDS = 10
_ENVIRONMENT = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_ONE_TRY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}


class ProjectRun(NamedTuple):
    """The run that `mlflow run` made for this process, and the experiment it lies in."""

    run_id: str
    experiment_id: str | None


def default_uri(root: Path) -> str:
    """The tracking URI of the project at `root`: `MLFLOW_TRACKING_URI` where it says one, else `<root>/mlflow.db`.

    Raises:
        TrackingError: if that URI names a store that several processes cannot share, or a database that was made for
            the project in another folder.
    """
    uri = store_uri(root)
    old = moved_from(database_of(uri), root.resolve()) if uri.startswith(_SQLITE) else None
    if old is not None:
        raise TrackingError(
            f"tracking database {database_of(uri)}: names artifacts in {old}, but the project is in {root.resolve()} "
            "now; run `vaeforge relocate`, which lets it name those that lie here"
        )
    return uri


def store_uri(root: Path) -> str:
    """The same, also where the project was moved and its database has not been told.

    Raises:
        TrackingError: if that URI names a store that several processes cannot share.
    """
    return absolute_uri(os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"{_SQLITE}mlflow.db", root)


def absolute_uri(uri: str, root: Path) -> str:
    """`uri` with a relative path of a `sqlite:` or `file:` URI, or a bare path, made absolute against `root`.

    Raises:
        TrackingError: if it is an in-memory database, or holds what a SQLite URI cannot hold.
    """
    if uri.startswith("sqlite:"):
        return f"{_SQLITE}{root.resolve() / database_of(uri)}"
    if uri.startswith("file:"):
        return f"file://{root.resolve() / re.sub('^file:(//)?', '', uri)}"
    return uri if "://" in uri else f"file://{root.resolve() / uri}"


def require_there(path: Path) -> None:
    """Have the file of a database be there, for readers, who would find nothing in one that they make.

    Raises:
        TrackingError: if it is not.
    """
    if not path.exists():
        raise TrackingError(
            f"tracking database {path}: is not there; bring it back, set MLFLOW_TRACKING_URI to where it lies, or "
            "register a first model, which makes it"
        )


def open_store(uri: str, existing: bool = False) -> "StoreClient":
    """A client of the store at the absolute `uri`; a SQLite database is made, and set to WAL, on its first use.

    Args:
        uri: of the store.
        existing: a database must be there.

    Raises:
        TrackingError: if the server does not answer within 10 s, the database cannot be read and written or is not
            there, its schema is another MLflow's, its driver is not installed, or the store is a folder of files (which
            MLflow no longer takes).
    """
    _settle_environment()
    if uri.startswith("sqlite:"):
        path = database_of(uri)
        if existing:
            require_there(path)
        return _open_sqlite(uri, path)
    if uri.startswith("file:"):
        raise TrackingError(
            f"tracking URI {redact(uri)}: MLflow no longer writes to folders of files; "
            "give sqlite:///path/to/mlflow.db or the http address of a server"
        )
    if uri.startswith(("http://", "https://")):
        require_answer(uri)
        return _client(uri)
    return open_database(uri, redact(uri))


# without it MLflow's pages open with traces of language models, and the runs are to be looked for
KIND = {"mlflow.experimentKind": "custom_model_development"}


def ensure_experiment(client: "MlflowClient", name: str, artifact_root: Path) -> str:
    """The id of the experiment called `name`, made if there is none; safe against others making it too.

    A server keeps artifacts where it was told to; for a database opened here they go to `artifact_root/<name>`.

    Raises:
        TrackingError: if the experiment was deleted and not restored.
    """
    from mlflow import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        remote = client.tracking_uri.startswith(("http://", "https://"))
        location = None if remote else (artifact_root.resolve() / name).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=KIND))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                raise
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {name!r} is deleted in {redact(client.tracking_uri)}; "
            f"restore it with `mlflow experiments restore -x {found.experiment_id}`"
        )
    return str(found.experiment_id)


def project_run() -> ProjectRun | None:
    """The run that `mlflow run` announces, taken out of the environment.

    Left there, whatever starts a run in this process or in one it starts would resume and rename that run.
    """
    run_id = os.environ.pop("MLFLOW_RUN_ID", "")
    experiment_id = os.environ.pop("MLFLOW_EXPERIMENT_ID", "")
    return ProjectRun(run_id, experiment_id or None) if run_id else None


def project_run_id() -> str | None:
    """The id of `project_run()`, none outside `mlflow run`; taken out of the environment as well."""
    run = project_run()
    return run.run_id if run else None


def redact(text: str) -> str:
    """`text` with the user and password of every URI in it replaced by `***`."""
    return re.sub(r"(?<=://)[^/\s@]+@", "***@", text)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file at `path` locked against other processes; the kernel lets go of it when a process dies."""
    with FileLock(path, fallback_to_soft=False):
        yield


@contextmanager
def one_try() -> Iterator[None]:
    """Let each request to a server be made once, and answered within 15 s; what is to be tried again, the caller tries.

    MLflow's own retries cannot know whether a change was made before the connection broke; ours look first.
    """
    before = {name: os.environ.get(name) for name in _ONE_TRY}
    os.environ.update(_ONE_TRY)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _settle_environment() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for logger in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(logger).setLevel(logging.WARNING)


def _client(uri: str) -> "StoreClient":
    from vaeforge.track.store_client import StoreClient

    return StoreClient(tracking_uri=uri, registry_uri=uri)


def database_of(uri: str) -> Path:
    """The file of a SQLite store.

    Raises:
        TrackingError: if the URI names no file, or is of another kind of store.
    """
    path = uri.removeprefix(_SQLITE)
    if not uri.startswith(_SQLITE) or path in ("", ":memory:") or "?" in path:
        raise TrackingError(
            f"tracking URI {uri!r}: must be sqlite:/// and the path of a file, without '?'; "
            "a database in memory cannot be shared by processes"
        )
    return Path(path)


def _open_sqlite(uri: str, path: Path) -> "StoreClient":
    from mlflow import MlflowException

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f"{path.name}.lock")):
            if not path.exists() or path.stat().st_size == 0:
                _create(path)
            _switch_to_wal(path)
            client = _client(uri)
            client.search_experiments(max_results=1)
    except (OSError, sqlite3.Error, MlflowException) as error:
        raise TrackingError(
            f"tracking database {path}: cannot be opened ({error}); it must be a SQLite file of this MLflow's schema "
            "(`mlflow db upgrade`) on a local disk that can be written; MLFLOW_TRACKING_URI names another store"
        ) from error
    return client


def _create(path: Path) -> None:
    """Build the database beside `path` and move it there whole: a crash half way leaves no half schema behind."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"{_SQLITE}{draft}", (path.parent / "mlruns").as_uri())
    store.engine.dispose()
    draft.replace(path)


def _switch_to_wal(path: Path) -> None:
    """Let readers and the writer work side by side; the setting stays in the file."""
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError(f"its journal mode is {mode!r} and will not become 'wal'")


def require_answer(uri: str) -> None:
    """Have the server at `uri` say that it is well.

    Raises:
        TrackingError: if it does not within 10 s.
    """
    from mlflow import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        server = get_default_host_creds(uri)
        answer = http_request(
            server, "/health", "GET", max_retries=0, timeout=ANSWER_SECONDS, raise_on_status=False
        ).status_code
    except (MlflowException, OSError) as error:
        answer = str(error)
    if not isinstance(answer, int) or answer >= 500:
        raise no_answer(uri, str(answer))


def no_answer(uri: str, answer: str) -> TrackingError:
    """That the server at `uri` did not answer in time, what came instead, and what to do."""
    return TrackingError(
        f"tracking server {redact(uri)} did not answer within {ANSWER_SECONDS} s ({redact(answer)}); "
        f"{_proxy_remark(uri)}start it, or run with --offline and `vaeforge sync` later"
    )


def _proxy_remark(uri: str) -> str:
    """That requests to `uri` go through a proxy of the environment, and how they would not; empty where they do not."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy, host = select_proxy(uri, get_environ_proxies(uri)), urlsplit(uri).hostname
    if proxy is None:
        return ""
    return f"it is asked through the proxy {redact(proxy)}: if it is to be reached directly, add {host} to no_proxy; "
