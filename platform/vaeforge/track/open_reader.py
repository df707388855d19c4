"""Choice of the quickest way to read a store: by SQL or plain requests where that is known to do, else by MLflow."""

from vaeforge.track.sqlite_reader import SqliteReader, is_known
from vaeforge.track.store import database_of, open_store, require_there
from vaeforge.track.store_reader import StoreReader


def open_reader(uri: str) -> StoreReader:
    """A reader of the store at the absolute `uri`.

    Raises:
        TrackingError: if a database is not there or cannot be read, or a server does not answer within 10 s.
    """
    if uri.startswith("sqlite:"):
        path = database_of(uri)
        require_there(path)
        if is_known(path):
            return SqliteReader(uri, path)
    elif uri.startswith(("http://", "https://")):
        from vaeforge.track.http_reader import HttpReader, is_simple

        if is_simple():
            return HttpReader(uri)
    return open_store(uri, existing=True)
