"""Storage of checkpoint files: a folder, or a place that fsspec reaches by a URL such as `s3://bucket/prefix`.

A file becomes visible whole or not at all. In a folder it is written under a temporary name, synced and moved. For
a URL it is written to a temporary file of this machine first, so that its SHA-256 is known before a byte travels, and
then put: at once where the store shows an object only when it is complete, else under a temporary name that is moved.

A file's name within its storage is `epoch-00006.pt`, or `from-00003-epoch-00006/epoch-00006.pt` where it was inherited
from another trial. Whatever looks files up goes by that name and not by the folder that was recorded with it, so that a
project may be moved. Nothing here imports torch: the dispatcher tidies up through this module.
"""

import re
import shutil
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import fsspec

from vaeforge.config.storage_url import NO_CREDENTIALS, holds_credentials
from vaeforge.errors import ConfigError
from vaeforge.paths import fsync_folder, link_or_copy, write_atomically

T = TypeVar("T")
WAITS = (0.5, 2.0, 8.0)  # seconds before each further attempt at a place that did not answer
# they show an object when it is complete, and have no folders to make
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci"})
INHERITED = r"from-[^/]+-epoch-\d+"
NAME = re.compile(rf"(?:^|/)((?:{INHERITED}/)?[^/]+)$")


class Storage(ABC):
    """Files by name at one place."""

    def __init__(self, location: str):
        self.location = location

    @abstractmethod
    def write(self, name: str, write: Callable[[BinaryIO], None], on_step: Callable[[], None] = lambda: None) -> str:
        """Let `write` fill the file called `name`; returns its SHA-256.

        `on_step` is called once the file is written here, and after each part that was uploaded.

        Raises:
            OSError: if it cannot be written; the file then is what it was before.
        """

    @abstractmethod
    def local_file(self, name: str) -> AbstractContextManager[Path]:
        """A context with the path of a local file of that content, which is not to be changed.

        Raises:
            OSError: if it cannot be read; FileNotFoundError if it is not there.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """All files, temporary ones of a crash included; none where there is no such place."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; one that has gone already is left alone."""

    @abstractmethod
    def clear(self) -> None:
        """Remove the place and all its files."""

    @abstractmethod
    def link_or_copy(self, part: str, sources: Mapping[str, str]) -> None:
        """Have the files `sources` (paths or URLs by name) in `part`, as they are now; repeating it changes nothing."""

    def keep_only(self, files: Collection[str], removable: re.Pattern[str] | None = None) -> None:
        """Remove all but `files` (paths or URLs, compared by name); with `removable`, only what it matches wholly."""
        kept = {name_of(file) for file in files}
        for name in self.names():
            if name not in kept and (removable is None or removable.fullmatch(name)):
                self.remove(name)


class LocalStorage(Storage):
    """A folder of this machine, or one that it shares with others."""

    def __init__(self, location: str):
        super().__init__(location)
        self._root = Path(location)

    def write(self, name: str, write: Callable[[BinaryIO], None], on_step: Callable[[], None] = lambda: None) -> str:
        digest = write_atomically(self._root / name, write)
        on_step()
        return digest

    @contextmanager
    def local_file(self, name: str) -> Iterator[Path]:
        path = self._root / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: not found")
        yield path

    def names(self) -> list[str]:
        return sorted(path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file())

    def remove(self, name: str) -> None:
        path = self._root / name
        path.unlink(missing_ok=True)
        if path.parent != self._root:
            with suppress(OSError):  # other files are left in it
                path.parent.rmdir()

    def clear(self) -> None:
        if self._root.exists():
            shutil.rmtree(self._root)

    def link_or_copy(self, part: str, sources: Mapping[str, str]) -> None:
        target = self._root / part
        if all((target / name).is_file() for name in sources):
            return
        self._root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{part}.", suffix=".tmp", dir=self._root))
        try:
            for name, source in sources.items():
                storage, there = located(source)
                with storage.local_file(there) as path:
                    link_or_copy(path, temporary / name)
            fsync_folder(temporary)
            shutil.rmtree(target, ignore_errors=True)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        fsync_folder(self._root)


class RemoteStorage(Storage):
    """A place that fsspec knows, reached over a network that may fail for a while."""

    def __init__(self, location: str, waits: Sequence[float] = WAITS):
        super().__init__(location)
        self._waits = waits
        self._files, self._root = _filesystem(location)
        self._whole = location.split("://")[0] in OBJECT_STORES

    def write(self, name: str, write: Callable[[BinaryIO], None], on_step: Callable[[], None] = lambda: None) -> str:
        with tempfile.TemporaryDirectory(prefix="vaeforge-") as scratch:
            path = Path(scratch) / "file"
            digest = write_atomically(path, write)
            on_step()
            parts = _Parts(on_step)
            self._into(name, lambda target: self._files.put_file(str(path), target, callback=parts))
        return digest

    @contextmanager
    def local_file(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="vaeforge-") as scratch:
            path = Path(scratch) / "file"
            try:
                self._with_retries(lambda: self._files.get_file(self._path(name), str(path)))
            except FileNotFoundError:
                raise FileNotFoundError(f"{join(self.location, name)}: not found") from None
            yield path

    def names(self) -> list[str]:
        self._files.invalidate_cache()  # other machines write there too
        try:
            found: list[str] = self._with_retries(lambda: self._files.find(self._root))
        except FileNotFoundError:
            return []
        return sorted(name for path in found if (name := path.removeprefix(self._root).lstrip("/")))

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._with_retries(lambda: self._files.rm_file(self._path(name)))

    def clear(self) -> None:
        with suppress(FileNotFoundError):
            self._with_retries(lambda: self._files.rm(self._root, recursive=True))

    def link_or_copy(self, part: str, sources: Mapping[str, str]) -> None:
        there = set(self.names())
        for name, source in sources.items():
            if f"{part}/{name}" not in there:
                self._copy(source, f"{part}/{name}")

    def _copy(self, source: str, name: str) -> None:
        """Within the store where it can, else through this machine."""
        storage, there = located(source)
        if isinstance(storage, RemoteStorage) and storage._files == self._files and self._whole:
            start = storage._path(there)
            try:
                self._into(name, lambda target: self._files.cp_file(start, target))
            except FileNotFoundError:
                raise FileNotFoundError(f"{source}: not found") from None
            return
        with storage.local_file(there) as path:
            self._into(name, lambda target: self._files.put_file(str(path), target))

    def _into(self, name: str, put: Callable[[str], None]) -> None:
        """`put` under a name that no reader looks for, then move; straight where the store is atomic by itself."""
        target = self._path(name)
        if self._whole:
            self._with_retries(lambda: put(target))
            return
        folder = target.rpartition("/")[0]
        temporary = f"{folder}/.{name.rpartition('/')[2]}.{uuid.uuid4().hex}.tmp"
        self._with_retries(lambda: self._files.makedirs(folder, exist_ok=True))
        self._with_retries(lambda: put(temporary))
        self._with_retries(lambda: self._files.mv(temporary, target))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _with_retries(self, action: Callable[[], T]) -> T:
        """What `action` returns, tried again after each of the waits where the place does not answer."""
        for wait in self._waits:
            try:
                return self._once(action)
            except _TransientStorageError:
                time.sleep(wait)
        return self._once(action)

    def _once(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except (FileNotFoundError, PermissionError, MemoryError):
            raise
        except Exception as error:  # stores' clients raise classes of their own, which only they import
            raise _TransientStorageError(f"{self.location}: {error!r}") from error


class _Parts(fsspec.Callback):  # type: ignore[misc]
    """Told by fsspec of each part of a file that was transferred."""

    def __init__(self, on_part: Callable[[], None]):
        super().__init__()
        self._on_part = on_part

    def call(self, *_: Any, **__: Any) -> None:
        self._on_part()


class _TransientStorageError(OSError):
    """A remote place could not do what it was asked to; it may be able to later."""


def open_storage(location: Path | str, waits: Sequence[float] = WAITS) -> Storage:
    """The storage at a folder or URL; nothing is created there until something is written.

    Args:
        location: a path, `file://…`, or a URL of a kind that fsspec knows; a URL must come as text.
        waits: seconds before each further attempt at a remote place that does not answer.

    Raises:
        ConfigError: if a URL is of an unknown kind, its kind needs a package that is missing, or it holds credentials.
    """
    local = re.sub(r"^(file|local)://", "", str(location))
    return RemoteStorage(local.rstrip("/"), waits) if "://" in local else LocalStorage(local)


def join(location: Path | str, *names: str) -> str:
    """The path or URL of something in the storage at `location`."""
    return "/".join([str(location).rstrip("/"), *names])


def name_of(file: str) -> str:
    """The name of a file within its storage, from its path or URL."""
    found = NAME.search(file)
    if found is None:
        raise ValueError(f"file: got {file!r}, must be the path or URL of a file")
    return found[1]


def split(file: str) -> tuple[str, str]:
    """The folder and the last part of a path or URL."""
    folder, _, name = file.rpartition("/")
    return folder or ".", name


def located(file: str) -> tuple[Storage, str]:
    """The storage of the file at a path or URL, and its name there."""
    folder, name = split(file)
    return open_storage(folder), name


def _filesystem(url: str) -> tuple[Any, str]:
    """The file system that `url` means, and the path in it."""
    if holds_credentials(url):
        raise ConfigError(f"search.storage: {NO_CREDENTIALS}")
    try:
        files, path = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"search.storage: got {url!r}, must be a URL that every node can open ({error})") from error
    return files, str(path)
