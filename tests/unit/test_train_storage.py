"""Places for checkpoint files: the same contract for a folder, for what fsspec can only move, and for a real S3 server.

`memory://` stands for stores that show a file while it is being written; `s3://` is served over HTTP by moto.
"""

import hashlib
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from vaeforge.errors import CheckpointError, ConfigError
from vaeforge.training.checkpoint_files import (
    CHECKPOINT_NAME,
    Checkpoint,
    download,
    inherit,
    require_usable,
    verified_file,
)
from vaeforge.training.storage import Storage, join, name_of, open_storage

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin"}
KINDS = ["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on an S3 server of this test's own."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "y"), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The location of an empty search."""
    if request.param == "folder":
        return str(tmp_path / "search")
    unique = uuid.uuid4().hex
    return f"memory://{unique}/search" if request.param == "memory" else f"{request.getfixturevalue('bucket')}/{unique}"


def put(storage: Storage, name: str, content: bytes) -> Checkpoint:
    """A file as if it were a checkpoint; its epoch is in its name."""

    def write(file: BinaryIO) -> None:
        file.write(content)

    digest = storage.write(name, write)
    assert digest == hashlib.sha256(content).hexdigest()
    return Checkpoint(join(storage.location, name), digest, int(Path(name).stem.removeprefix("epoch-")))


def content_of(checkpoint: Checkpoint) -> bytes:
    with verified_file(checkpoint) as path:
        return path.read_bytes()


def test_what_is_written_is_read_listed_and_removed(place: str) -> None:
    storage = open_storage(place)
    assert storage.names() == []
    first = put(storage, "epoch-00001.pt", b"one")
    put(storage, "epoch-00002.pt", b"two")
    put(storage, "epoch-00002.pt", b"two again")
    assert storage.names() == ["epoch-00001.pt", "epoch-00002.pt"]
    assert content_of(first) == b"one"
    for _ in range(2):
        storage.remove("epoch-00001.pt")
    assert storage.names() == ["epoch-00002.pt"]
    for _ in range(2):
        storage.clear()
    assert storage.names() == []


def test_a_missing_or_altered_checkpoint_is_refused(place: str) -> None:
    first = put(open_storage(place), "epoch-00001.pt", b"one")
    with (
        pytest.raises(CheckpointError, match=r"epoch-00002\.pt: not found"),
        verified_file(replace(first, file=join(place, "epoch-00002.pt"))),
    ):
        pass
    put(open_storage(place), "epoch-00001.pt", b"onf")
    with pytest.raises(CheckpointError, match="SHA-256"), verified_file(first):
        pass


def test_a_write_that_fails_leaves_what_was_there(place: str) -> None:
    storage = open_storage(place)
    first = put(storage, "epoch-00001.pt", b"one")

    def fail(file: BinaryIO) -> None:
        file.write(b"half of ")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        storage.write("epoch-00001.pt", fail)
    assert storage.names() == ["epoch-00001.pt"]
    assert content_of(first) == b"one"


def test_only_what_is_named_stays_wherever_it_was_recorded(place: str) -> None:
    storage = open_storage(place)
    inherited = "from-00003-epoch-00002/epoch-00002.pt"
    for name in ("epoch-00001.pt", "epoch-00002.pt", "epoch-00004.pt", inherited):
        put(storage, name, name.encode())
    storage.write("notes.txt", lambda file: None)
    recorded = ["/before/it/was/moved/epoch-00004.pt", f"/before/it/was/moved/{inherited}"]
    storage.keep_only(recorded, CHECKPOINT_NAME)
    assert storage.names() == ["epoch-00004.pt", inherited, "notes.txt"]
    storage.keep_only(recorded[:1])
    assert storage.names() == ["epoch-00004.pt"]
    if "://" not in place:
        assert [path.name for path in Path(place).iterdir()] == ["epoch-00004.pt"]


def test_what_is_inherited_outlives_its_donor(place: str) -> None:
    donor = open_storage(join(place, "00003"))
    best, last = (put(donor, f"epoch-{epoch:05d}.pt", b"state %d" % epoch) for epoch in (4, 6))
    target = join(place, "00007")
    for _ in range(2):  # the second time after the donor's files have gone
        moved, moved_best = inherit(last, best, target)
        donor.clear()
        assert moved == replace(last, file=join(target, "from-00003-epoch-00006", "epoch-00006.pt"))
        assert moved_best == replace(best, file=join(target, "from-00003-epoch-00006", "epoch-00004.pt"))
        assert (content_of(moved), content_of(moved_best)) == (b"state 6", b"state 4")
    again, none = inherit(moved, None, join(place, "00009"))
    assert again.file == join(place, "00009", "from-00007-epoch-00006", "epoch-00006.pt")
    assert none is None
    assert inherit(moved, moved, join(place, "00010"))[0].epoch == 6
    with pytest.raises(CheckpointError, match="not found"):
        inherit(last, best, join(place, "00008"))
    assert open_storage(join(place, "00008")).names() == []


def test_a_winner_comes_home(place: str, tmp_path: Path) -> None:
    winner = put(open_storage(place), "epoch-00005.pt", b"the best")
    home = download(winner, tmp_path / "home")
    assert home.path.read_bytes() == b"the best"
    open_storage(place).clear()
    assert download(winner, tmp_path / "home") == home == download(home, tmp_path / "home")
    home.path.write_bytes(b"the beast")
    with pytest.raises(CheckpointError, match="not found"):
        download(winner, tmp_path / "home")


def test_an_altered_winner_does_not_come_home(place: str, tmp_path: Path) -> None:
    winner = put(open_storage(place), "epoch-00005.pt", b"the best")
    with pytest.raises(CheckpointError, match="SHA-256"):
        download(replace(winner, sha256="0" * 64), tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_usable_place_is_left_as_it_was(place: str) -> None:
    require_usable(place)
    assert open_storage(place).names() == []


def test_between_two_kinds_of_place_files_are_copied(tmp_path: Path) -> None:
    here, there = str(tmp_path / "00001"), f"memory://{uuid.uuid4().hex}/00002"
    first = put(open_storage(here), "epoch-00001.pt", b"one")
    second, _ = inherit(first, None, there)
    third, _ = inherit(second, None, tmp_path / "00003")
    assert content_of(second) == content_of(third) == b"one"
    assert third.path == tmp_path / "00003/from-00002-epoch-00001/epoch-00001.pt"


def test_a_crash_before_the_move_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(f"memory://{uuid.uuid4().hex}/00001", waits=())
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "mv", lambda *_: (_ for _ in ()).throw(RuntimeError("the network is gone")))
        with pytest.raises(OSError, match="the network is gone"):
            put(storage, "epoch-00001.pt", b"one")
    left = storage.names()
    assert len(left) == 1 and left[0].startswith(".epoch-00001.pt.")
    storage.keep_only([], CHECKPOINT_NAME)
    assert storage.names() == left
    storage.keep_only([])
    assert storage.names() == []


@pytest.mark.parametrize(("failures", "written"), [(2, True), (3, False)])
def test_a_place_that_does_not_answer_is_asked_again(
    failures: int, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three attempts with two waits: two failures are outlasted, three are not."""
    storage = open_storage(f"memory://{uuid.uuid4().hex}/00001", waits=(0.0, 0.0))
    asked, put_file = [], MemoryFileSystem.put_file

    def flaky(self: Any, *arguments: Any, **named: Any) -> None:
        asked.append(1)
        if len(asked) <= failures:
            raise ConnectionResetError("reset")
        put_file(self, *arguments, **named)

    monkeypatch.setattr(MemoryFileSystem, "put_file", flaky)
    if written:
        put(storage, "epoch-00001.pt", b"one")
    else:
        with pytest.raises(OSError, match="reset"):
            put(storage, "epoch-00001.pt", b"one")
    assert len(asked) == 3
    assert [name for name in storage.names() if not name.startswith(".")] == ["epoch-00001.pt"] * written


def test_links_where_there_are_links_else_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = put(open_storage(tmp_path / "00001"), "epoch-00001.pt", b"one")
    linked, _ = inherit(first, None, tmp_path / "00002")
    assert linked.path.samefile(first.path)

    def refuse(*_: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    copied, _ = inherit(first, None, tmp_path / "00003")
    assert copied.path.read_bytes() == b"one" and not copied.path.samefile(first.path)


def test_a_crash_while_inheriting_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = put(open_storage(tmp_path / "00001"), "epoch-00001.pt", b"one")
    second = put(open_storage(tmp_path / "00001"), "epoch-00002.pt", b"two")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(CheckpointError, match="could not be written"):
            inherit(second, first, tmp_path / "00002")
    assert open_storage(tmp_path / "00002").names() == []
    partly = tmp_path / "00002/from-00001-epoch-00002"
    partly.mkdir()
    (partly / "epoch-00002.pt").write_bytes(b"tw")
    moved = inherit(second, first, tmp_path / "00002")
    assert [content_of(checkpoint) for checkpoint in moved if checkpoint] == [b"two", b"one"]


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    put(open_storage(f"file://{tmp_path}"), "epoch-00001.pt", b"one")
    assert (tmp_path / "epoch-00001.pt").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("nowhere://x/y", "nowhere"),
        ("ftp://user:secret@host/x", "password"),
        ("simplecache::ftp://user:secret@host/x", "password"),
        ("filecache::zip://a::ftp://user:secret@host/x.zip", "password"),
        ("https://host/x?signature=secret", "query"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(location: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        require_usable(location)
    assert "secret" not in str(caught.value)


def test_a_kind_whose_package_is_missing_says_which() -> None:
    program = "import sys; sys.modules['s3fs'] = None; from vaeforge.training.checkpoint_files import *; require_usable('s3://b/x')"
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert re.search(r"ConfigError: search\.storage: got 's3://b/x'.*s3fs", done.stderr)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A web server gives files and takes none."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(ConfigError, match="written and read"):
            require_usable(f"http://127.0.0.1:{server.server_port}/x")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(ConfigError, match="written and read"):
        require_usable(file / "below")


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_refused(bucket: str) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        require_usable("s3://another-bucket/x")


def test_names_go_by_the_end_of_a_path() -> None:
    assert name_of("epoch-00001.pt") == "epoch-00001.pt"
    assert name_of("/a/from-home/epoch-00001.pt") == "epoch-00001.pt"
    assert name_of("s3://b/00007/from-00003-epoch-00006/epoch-00004.pt") == "from-00003-epoch-00006/epoch-00004.pt"
    moved = Checkpoint("/old/00007/from-00003-epoch-00006/epoch-00004.pt", "0", 4).within("s3://b/00007")
    assert moved.file == "s3://b/00007/from-00003-epoch-00006/epoch-00004.pt"
    with pytest.raises(ValueError, match="must be the path or URL of a file"):
        name_of("s3://b/")


def test_nothing_here_imports_torch() -> None:
    program = "import sys, vaeforge.training.checkpoint_files; assert not {'torch', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, check=True)


def test_each_part_of_a_file_that_is_on_its_way_is_a_step(place: str) -> None:
    steps: list[int] = []
    open_storage(place).write("big", lambda file: _fill(file, 12), lambda: steps.append(1))
    assert len(steps) >= (1 if "://" not in place else 2)


def _fill(file: BinaryIO, megabytes: int) -> None:
    file.write(bytes(megabytes * 1_000_000))
