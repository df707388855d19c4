"""Readers of file formats, one a format of the registry, each with files that are nearly right."""

import gzip
import io
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas
import scipy.io
from hypothesis import strategies as st
from nibabel.gifti import GiftiDataArray, GiftiImage
from nibabel.nifti2 import Nifti2Header

from format_files import POINTS, SERIES, SURFACE, VOLUME, WRITERS, read_all
from fuzz.mutations import changed_bytes, changed_numbers, changed_words
from fuzz.odd_hdf5 import odd_hdf5
from fuzz.parser import Parser
from vaeforge.data.file_format import FORMATS, FileFormat

ANNDATA = Path(__file__).parents[1] / "formats/anndata"
HEADER = 600  # bytes


def bytes_of(write: Callable[[Path], Any], suffix: str) -> bytes:
    """What a writer of files writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(path)
        return path.read_bytes()


def tiny(name: str) -> bytes:
    """The tiny file of a format."""
    return bytes_of(WRITERS[name], FORMATS.named(name).suffixes[0])


def changed(seeds: list[bytes], within: int = HEADER) -> st.SearchStrategy[bytes]:
    return changed_bytes(seeds) | changed_words(seeds, within)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


def volumes(kind: Any, suffix: str) -> list[bytes]:
    """In several types, scaled and not, with 3 and 4 axes, and as a surface."""
    images = [
        kind(VOLUME, np.eye(4)),
        kind((VOLUME * 100).astype(np.int16), np.eye(4)),
        kind(VOLUME[..., 0], np.eye(4)),
        kind(SURFACE, np.eye(4)),
    ]
    return [bytes_of(lambda path, image=image: nibabel.save(image, path), suffix) for image in images]


def nifti_packed() -> st.SearchStrategy[bytes]:
    return changed(volumes(nibabel.Nifti1Image, ".nii")).map(packed)


def mgh_packed() -> st.SearchStrategy[bytes]:
    return changed(volumes(nibabel.MGHImage, ".mgh")).map(packed)


def cifti() -> st.SearchStrategy[bytes]:
    """Bytes of the whole file, and other texts in a file that is sound around them."""
    seed = tiny("cifti")
    header = Nifti2Header(seed[:540])
    (size,) = struct.unpack("<i", seed[544:548])
    xml, values = seed[552 : 544 + size].rstrip(b"\0"), seed[int(header["vox_offset"]) :]

    def whole(text: bytes) -> bytes:
        extension = text + b"\0" * (-(len(text) + 8) % 16)
        other = header.copy()
        other["vox_offset"] = 544 + 8 + len(extension)
        begin = other.binaryblock + b"\x01\0\0\0" + struct.pack("<ii", len(extension) + 8, 32)
        return bytes(begin + extension + values)

    return changed([seed]) | (changed_numbers([xml]) | changed_bytes([xml])).map(whole)


def gifti() -> st.SearchStrategy[bytes]:
    """Texts, with values in each of the encodings that are kept in the file."""
    seeds = []
    for encoding in ("GIFTI_ENCODING_ASCII", "GIFTI_ENCODING_B64BIN", "GIFTI_ENCODING_B64GZ"):
        arrays = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", encoding=encoding) for row in SERIES[:3]]
        seeds.append(bytes(GiftiImage(darrays=arrays).to_bytes()))
    return changed_numbers(seeds) | changed_bytes(seeds)


def matlab() -> st.SearchStrategy[bytes]:
    """Variables of several kinds, packed and not, of versions 4 and 5."""
    variables = {"one": SERIES, "two": np.arange(6, dtype=np.int16).reshape(2, 3), "site": "Basel", "tr": 0.7}
    seeds = [tiny("matlab")]
    for form, pack in (("5", False), ("5", True), ("4", False)):
        file = io.BytesIO()
        scipy.io.savemat(file, variables, format=form, do_compression=pack)
        seeds.append(file.getvalue())
    return changed(seeds, 400)


def anndata() -> st.SearchStrategy[bytes]:
    seeds = [tiny("anndata"), *(path.read_bytes() for path in sorted(ANNDATA.glob("*.h5ad")))]
    return odd_hdf5(seeds) | changed_bytes(seeds)


def hdf5(name: str) -> st.SearchStrategy[bytes]:
    seed = tiny(name)
    return changed([seed], len(seed)) | (odd_hdf5([seed]) if name == "hdf5" else changed_bytes([seed]))


def parquet() -> st.SearchStrategy[bytes]:
    mixed = POINTS.assign(who=["a", None] * 4, at=pandas.date_range("2026-01-01", periods=8), good=[True, False] * 4)
    seeds = [tiny("parquet"), bytes_of(mixed.to_parquet, ".parquet"), bytes_of(POINTS[:0].to_parquet, ".parquet")]
    return changed_bytes(seeds)


MADE: dict[str, Callable[[], st.SearchStrategy[bytes]]] = {
    "anndata": anndata,
    "cifti": cifti,
    "gifti": gifti,
    "hdf5": lambda: hdf5("hdf5"),
    "matlab": matlab,
    "matlab_hdf5": lambda: hdf5("matlab_hdf5"),
    "mgh": lambda: changed(volumes(nibabel.MGHImage, ".mgh")),
    "nifti": lambda: changed(volumes(nibabel.Nifti1Image, ".nii") + volumes(nibabel.Nifti2Image, ".nii")),
    "parquet": parquet,
}


def read(found: FileFormat, path: Path) -> None:
    """Everything that can be read out of a file, names of voxels too."""
    read_all(found, path)
    for matrix in found.series(path).values() if found.series else ():
        matrix.voxels()


def format_parser(name: str) -> Parser:
    found: FileFormat = FORMATS.named(name)
    made = MADE[name]() if name in MADE else changed([tiny(name)])
    return Parser(f"a{found.suffixes[0]}", lambda path: read(found, path), made)


FORMAT_PARSERS: dict[str, Parser] = {
    **{f"format {name}": format_parser(name) for name in FORMATS.names()},
    "format nifti, packed": Parser("a.nii.gz", lambda path: read(FORMATS.named("nifti"), path), nifti_packed()),
    "format mgh, packed": Parser("a.mgz", lambda path: read(FORMATS.named("mgh"), path), mgh_packed()),
}
