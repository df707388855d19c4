"""The index of imzML, mzML's XML with references into a binary file: where each spectrum lies, read as a stream.

By expat alone, for files that nobody vouches for: no declarations of a document type, so no entities, and nothing is
kept but places, types and coordinates. Accessions are those of imzML 1.1 (imagingMS.obo) and psi-ms.obo.
"""

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from vaeforge.data.damaged_file import DamagedFileError

TYPES = {
    "MS:1000519": "<i4",
    "MS:1000520": "<f2",
    "MS:1000521": "<f4",
    "MS:1000522": "<i8",
    "MS:1000523": "<f8",
    "IMS:1000141": "<i4",
    "IMS:1000142": "<i8",
    "IMS:1100000": "<i1",
    "IMS:1100001": "<i2",
}
MASSES, INTENSITIES = "MS:1000514", "MS:1000515"
ZLIB, UNPACKED = "MS:1000574", "MS:1000576"
PACKINGS = {
    "MS:1002312",
    "MS:1002313",
    "MS:1002314",
    "MS:1002746",
    "MS:1002747",
    "MS:1002748",
    "MS:1003089",
    "MS:1003090",
}
OFFSET, LENGTH, ENCODED = "IMS:1000102", "IMS:1000103", "IMS:1000104"
COORDINATES = ("IMS:1000050", "IMS:1000051", "IMS:1000052")
UUID = "IMS:1000080"
CONTINUOUS, PROCESSED = "IMS:1000030", "IMS:1000031"
CENTROID, PROFILE = "MS:1000127", "MS:1000128"
PIXEL_SIZES = ("IMS:1000046", "IMS:1000047")
KEPT = {UUID, CONTINUOUS, PROCESSED, CENTROID, PROFILE, *PIXEL_SIZES}  # of the file as a whole
PIECE = 2**20
Params = dict[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies in the binary file: its first byte, its values, their type, its bytes where it is packed."""

    offset: int
    length: int
    kind: str
    packed: int | None


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One pixel: x, y, z, and its arrays; z is 1 where there is none."""

    at: tuple[int, int, int]
    masses: Place
    intensities: Place


@dataclass
class Index:
    """What an imzML says: its spectra in order, and parameters of the whole file."""

    spectra: list[Spectrum] = field(default_factory=list)
    params: Params = field(default_factory=dict)

    @property
    def continuous(self) -> bool:
        """Whether all spectra have the same m/z, by what they refer to."""
        return len({spectrum.masses for spectrum in self.spectra}) == 1

    @property
    def uuid(self) -> uuid.UUID | None:
        """The one that the binary file begins with."""
        told = self.params.get(UUID, "")
        return uuid.UUID(told.strip()) if told.strip() else None


class _Reader:
    """Events of the XML, one after the other."""

    def __init__(self, path: Path):
        self.path, self.index = path, Index()
        self.groups: dict[str, Params] = {}
        self.open: list[Params] = [self.index.params]  # innermost last: cvParams go there
        self.arrays: list[Params] = []
        self.scan: Params = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        match name.rpartition(" ")[2]:
            case "cvParam":
                self._take(attributes.get("accession", ""), attributes.get("value", ""))
            case "referenceableParamGroupRef":
                for accession, value in self.groups.get(attributes.get("ref", ""), {}).items():
                    self._take(accession, value)
            case "referenceableParamGroup":
                self.open.append(self.groups.setdefault(attributes["id"], {}))
            case "spectrum":
                self.arrays, self.scan = [], {}
                self.open.append({})
            case "scan":
                self.open.append(self.scan)
            case "binaryDataArray":
                self.arrays.append({})
                self.open.append(self.arrays[-1])
            case "chromatogram":
                self.open.append({})

    def end(self, name: str) -> None:
        own = name.rpartition(" ")[2]
        if own in ("referenceableParamGroup", "spectrum", "scan", "binaryDataArray", "chromatogram"):
            self.open.pop()
        if own == "spectrum":
            self.index.spectra.append(self._spectrum())

    def _take(self, accession: str, value: str) -> None:
        self.open[-1][accession] = value
        if accession in KEPT:
            self.index.params.setdefault(accession, value)

    def _spectrum(self) -> Spectrum:
        number = len(self.index.spectra)
        found = {kind: own for own in self.arrays for kind in (MASSES, INTENSITIES) if kind in own}
        if len(found) != 2 or not {*COORDINATES[:2]} <= {*self.scan}:
            raise DamagedFileError(
                self.path, f"spectrum {number} (from 0) lacks m/z, intensities or a position x and y"
            )
        x, y, z = (int(self.scan.get(accession) or 1) for accession in COORDINATES)
        places = [self._place(number, found[kind]) for kind in (MASSES, INTENSITIES)]
        if places[0].length != places[1].length:
            lengths = f"{places[0].length} m/z and {places[1].length} intensities"
            raise DamagedFileError(self.path, f"spectrum {number} (from 0) has {lengths}, must have as many")
        return Spectrum((x, y, z), *places)

    def _place(self, number: int, params: Params) -> Place:
        kind = next((TYPES[accession] for accession in params if accession in TYPES), None)
        if kind is None or PACKINGS & {*params}:
            raise DamagedFileError(
                self.path,
                f"spectrum {number} (from 0) has values of a type or packing that is not read; must be "
                "integers or floats of up to 64 bits, as they are or by zlib",
            )
        offset, length = int(params[OFFSET]), int(params[LENGTH])
        packed = int(params.get(ENCODED) or 0) if ZLIB in params else None
        if min(offset, length, packed or 0) < 0:
            raise DamagedFileError(
                self.path,
                f"spectrum {number} (from 0) begins at byte {offset} and has {length} values, which cannot "
                "be; write it anew, its offsets may be cut to 32 bits",
            )
        return Place(offset, length, kind, packed)


def read_index(path: Path) -> Index:
    """The index in the imzML at `path`.

    Raises:
        DamagedFileError: if it is no imzML, or does not say where spectra lie.
    """
    reader = _Reader(path)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.StartDoctypeDeclHandler = _refuse
    parser.buffer_text = True
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                parser.Parse(piece, False)
        parser.Parse(b"", True)
        reader.index.uuid  # noqa: B018 (it must be one)
    except (expat.ExpatError, LookupError, ValueError, OSError, OverflowError) as error:
        raise DamagedFileError(path, f"cannot be read as imzML ({error or type(error).__name__})") from None
    if not reader.index.spectra:
        raise DamagedFileError(path, "holds no spectra")
    return reader.index


def _refuse(*_: Any) -> None:
    raise ValueError("it declares a document type, which imzML does not")
