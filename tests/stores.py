"""MLflow databases for tests: one is made for each test session and copied, because making it is a second of SQL."""

import atexit
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from vaeforge.track.store import open_store


@cache
def _template() -> Path:
    """A new database, as `open_store` makes it."""
    folder = tempfile.mkdtemp(prefix="mlflow-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_store(f"sqlite:///{folder}/mlflow.db")
    return Path(folder, "mlflow.db")


def new_database(folder: Path, name: str = "mlflow.db") -> str:
    """The URI of a new database in `folder`, whose own artifacts lie in `mlruns` there."""
    copy_database(_template(), folder / name)
    with closing(sqlite3.connect(folder / name)) as connection, connection:
        place = (folder.resolve() / "mlruns" / "0").as_uri()
        connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (place,))
    return f"sqlite:///{folder / name}"


def copy_database(source: Path, target: Path) -> None:
    """Have what a database holds in another file."""
    with closing(sqlite3.connect(source)) as before, closing(sqlite3.connect(target)) as after:
        before.backup(after)
