"""Database of a server (PostgreSQL, MySQL) as an MLflow store: its driver, whether it answers, its schema."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vaeforge.errors import TrackingError

if TYPE_CHECKING:
    from vaeforge.track.store_client import StoreClient

ANSWER_SECONDS = 10
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
MAKING = 0x7661_6566_6F72_6765  # "vaeforge": the lock of those that may make tables
DRIVERS = {"psycopg": "pip install 'vaeforge[postgresql]'"}


def require_reachable(uri: str, shown: str) -> None:
    """Have somebody listen where the database is: MLflow tries for minutes, without a word.

    Args:
        uri: of the database; one that names no host is left to its driver.
        shown: the same, for people.

    Raises:
        TrackingError: if nobody does within 10 s.
    """
    parts = urlsplit(uri)
    port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
    if not parts.hostname or port is None:
        return
    try:
        socket.create_connection((parts.hostname, port), ANSWER_SECONDS).close()
    except OSError as error:
        raise TrackingError(
            f"tracking database {shown}: nobody answers at {parts.hostname}, port {port} ({error}); "
            "start it, or run with --offline and `vaeforge sync` later"
        ) from None


def open_database(uri: str, shown: str) -> "StoreClient":
    """A client of the database at `uri`, in which MLflow makes its tables where there are none.

    Args:
        uri: of the database.
        shown: the same, for people.

    Raises:
        TrackingError: if it cannot be reached or opened, or nothing here can speak to it.
    """
    from mlflow import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    from vaeforge.track.store_client import StoreClient

    require_reachable(uri, shown)
    try:
        with _alone(uri):
            client = StoreClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
    except ModuleNotFoundError as error:
        how = DRIVERS.get(str(error.name), f"install {error.name}")
        raise TrackingError(f"tracking database {shown}: its driver {error.name} is not installed; {how}") from None
    except (MlflowException, SQLAlchemyError) as error:
        reason = str(error).strip().splitlines()[0].replace(uri, shown)
        raise TrackingError(
            f"tracking database {shown}: cannot be opened ({reason}); it must let this user in, and have this MLflow's "
            "schema (`mlflow db upgrade`) or none"
        ) from None
    return client


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """One process at a time, of all that open a PostgreSQL database: MLflow's, at once, would make the same tables.

    The lock is the connection's, and goes with it.
    """
    from sqlalchemy import create_engine, text

    if not uri.startswith("postgresql"):
        yield
        return
    engine = create_engine(uri)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MAKING})
            yield
    finally:
        engine.dispose()
