"""Session of a Ray of one's own: where its sockets lie, and the token that lets this search's processes in."""

import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from vaeforge.errors import ResourceError
from vaeforge.remarks import tell, warn

SOCKET_BYTES = 107  # of the path of a socket, unix(7)
# what Ray puts behind its folder; process numbers have up to seven digits
BEHIND = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
SHORT = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))


@contextmanager
def own_session(console: Console) -> Iterator[str | None]:
    """While a Ray of one's own runs: its token in the environment; its folder, see `_short_folder`.

    Ray's own token is one file for all of a user's clusters, in a home that may not be there, and readable by others
    where the umask says so. One in the environment is seen by this user's processes alone, and gone afterwards: it is
    not that of other clusters.
    """
    with _short_folder(console) as folder:
        if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
            close_token_file(console)
            yield folder
            return
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        _read_again()
        try:
            yield folder
        finally:
            del os.environ["RAY_AUTH_TOKEN"]
            _read_again()


def _read_again() -> None:
    """Have Ray read its settings and token anew from the environment, as it does once in a process.

    Without it the second search of a Python session has the first one's token, and one that comes after `import ray`
    the mode of that moment, and its own cluster turns it away.
    """
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined] # Cython, without a stub

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def close_token_file(console: Console) -> None:
    """Let this user alone read the file that Ray takes its token from; Ray writes it as the umask says."""
    path = token_file()
    if path is None or not (found := path.stat()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return
    closed = found.st_uid == os.getuid()
    if closed:
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    warn(
        console,
        f"{path}: others could read Ray's token, with which they run code as you on its cluster; "
        + ("the file is 0600 now, and if others use this machine" if closed else "have it made 0600, and")
        + " give the cluster a new token",
    )


def token_file() -> Path | None:
    """The file that Ray takes its token from; none where it is in the environment, or nowhere."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return None
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path("~/.ray/auth_token").expanduser())
    return path if os.access(path, os.F_OK) and path.is_file() else None


@contextmanager
def _short_folder(console: Console) -> Iterator[str | None]:
    """A folder for Ray's session with a path short enough for its sockets; none where Ray's own choice is.

    Raises:
        ResourceError: see `short_parent`.
    """
    parent = short_parent()
    if parent is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ray-", dir=parent, ignore_cleanup_errors=True) as folder:
        told = f"{_usual().parent} is too long for Ray's sockets: its session lies in {folder} (or set RAY_TMPDIR)"
        tell(console, told)
        yield folder


def short_parent() -> Path | None:
    """The folder in which one for Ray's session is to be made; none where Ray's own choice is short enough.

    Raises:
        ResourceError: if there is no such folder that can be written.
    """
    most = SOCKET_BYTES - BEHIND
    length = len(os.fsencode(_usual()))
    if length <= most:
        return None
    parents = [folder for folder in SHORT if os.access(folder, os.W_OK | os.X_OK)]
    if not parents:
        raise ResourceError(
            f"temporary folder: got {_usual().parent}, too long for Ray's sockets ({length - 4} of at most {most - 4} "
            f"bytes), and none of {', '.join(map(str, SHORT))} can be written; set RAY_TMPDIR to a short path"
        )
    return parents[0]


def _usual() -> Path:
    """Where Ray makes its sessions by itself."""
    return Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray"
