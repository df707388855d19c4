"""imzML written as its specification has it (1.1.0), with each way of saying where values lie."""

import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

OWN = uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF)
KINDS = {"<f4": "MS:1000521", "<f8": "MS:1000523", "<i4": "IMS:1000141", "<i8": "IMS:1000142"}
Peaks = tuple[Sequence[float], Sequence[float]]  # m/z, intensities
PIXELS: list[tuple[tuple[int, ...], Peaks]] = [
    ((1, 1), ([100.0, 150.0, 200.001], [1.0, 2.0, 3.0])),
    ((2, 1), ([99.9995, 100.0005, 300.0], [4.0, 8.0, 16.0])),
    ((1, 2), ([150.0], [5.0])),
    ((3, 2), ([], [])),
]


def param(accession: str, value: object = "") -> str:
    return f'<cvParam cvRef="X" accession="{accession}" name="" value="{value}"/>'


def write_imzml(
    path: Path,
    pixels: Sequence[tuple[Sequence[int], Peaks]] = PIXELS,
    kind: str = "<f8",
    packed: bool = False,
    inline: bool = False,
    continuous: bool = False,
    before: str = "",
) -> Path:
    """The file and its values beside it; `continuous` writes the m/z of the first pixel once, for all."""
    values, spectra, shared = OWN.bytes, "", ""
    about = {
        kind_of: param(accession) + param(KINDS[kind])
        for kind_of, accession in (("mz", "MS:1000514"), ("in", "MS:1000515"))
    }
    about = {key: text + param("MS:1000574" if packed else "MS:1000576") for key, text in about.items()}
    for at, peaks in pixels:
        arrays = ""
        for key, given in zip(("mz", "in"), peaks, strict=True):
            content = np.asarray(given, dtype=kind).tobytes()
            content = zlib.compress(content) if packed else content
            told = param("IMS:1000102", len(values)) + param("IMS:1000103", len(given))
            told += param("IMS:1000104", len(content))
            if continuous and key == "mz" and shared:
                told = shared
            else:
                values += content
            shared = shared or told
            ref = about[key] if inline else f'<referenceableParamGroupRef ref="{key}"/>'
            arrays += f"<binaryDataArray>{told}{ref}<binary/></binaryDataArray>"
        place = "".join(param(f"IMS:100005{axis}", where) for axis, where in enumerate(at))
        spectra += (
            f"<spectrum><scanList><scan>{place}</scan></scanList>"
            f"<binaryDataArrayList>{arrays}</binaryDataArrayList></spectrum>"
        )
    groups = "".join(
        f'<referenceableParamGroup id="{key}">{text}</referenceableParamGroup>' for key, text in about.items()
    )
    head = param("IMS:1000080", "{" + str(OWN) + "}") + param("IMS:1000030" if continuous else "IMS:1000031")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<mzML xmlns="http://psi.hupo.org/ms/mzml">'
        f"<fileDescription><fileContent>{head}{param('MS:1000127')}</fileContent></fileDescription>"
        f"<referenceableParamGroupList>{groups}</referenceableParamGroupList><scanSettingsList><scanSettings>"
        f"{param('IMS:1000046', 50)}{param('IMS:1000047', 50)}</scanSettings></scanSettingsList>"
        f"<run><spectrumList>{spectra}</spectrumList></run></mzML>"
    )
    path.with_suffix(".ibd").write_bytes(values)
    return path
