"""DICOM, for pictures: a file a picture or a stack of frames, by pydicom."""

import re

from vaeforge.data.dicom_file import count_pixels, decode_dicom
from vaeforge.data.file_format import FileFormat

FORMAT = FileFormat(
    name="DICOM",
    suffixes=(".dcm", ".dicom", ".ima"),
    kind="pictures",
    begins=re.compile(rb".{128}DICM", re.DOTALL),
    picture=decode_dicom,
    pixels=count_pixels,
    copied=False,
    instead={
        "series": "convert it to NIfTI, for example with dcm2niix",
        "volume": "convert it to NIfTI, for example with dcm2niix",
    },
)
