"""Formats that no reader here takes: what their files are called, and what to do with one."""

from pathlib import Path

OME = "export it as OME-TIFF, for example with Bio-Formats (bfconvert)"
SLIDE = "export the region that is meant as TIFF or PNG, for example with OpenSlide or QuPath"
MOVIE = "write its frames as pictures, for example with ffmpeg -i FILE frame_%05d.png"
SHEET = "save its sheet as CSV"
VENDOR = "convert it to imzML with the software of the instrument's maker"
NIFTI = "convert it to NIfTI"
TIFF = "save it as TIFF or PNG"
ZARR = "save a table in it as .h5ad or Parquet, pictures as TIFF"
INSTEAD = {
    **dict.fromkeys(
        (".czi", ".lif", ".nd2", ".oib", ".oif", ".oir", ".vsi", ".ims", ".lsm", ".zvi", ".stk", ".sld"), OME
    ),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn", ".bif"), SLIDE),
    **dict.fromkeys((".avi", ".mp4", ".mov", ".mkv", ".wmv", ".m4v", ".mpg", ".mpeg", ".webm", ".gif"), MOVIE),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), SHEET),
    **dict.fromkeys((".wiff", ".mzml", ".mzxml", ".tdf", ".baf"), VENDOR),
    **dict.fromkeys((".hdr", ".img", ".mnc", ".par", ".nrrd", ".mha", ".mhd"), NIFTI),
    **dict.fromkeys((".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".psd", ".cr2", ".nef", ".dng", ".arw"), TIFF),
    **dict.fromkeys((".ser", ".emd", ".emi", ".tvips", ".eer"), "save it as MRC or TIFF"),
    ".raw": "convert it to imzML if it is of a mass spectrometer, to TIFF if it is of a camera",
    ".ibd": "it belongs to an .imzML of the same name, which must lie beside it",
    ".rds": "save it as CSV or Parquet (arrow::write_parquet)",
    ".rdata": "save it as CSV or Parquet (arrow::write_parquet)",
    ".feather": "save it as Parquet",
    ".zarr": ZARR,
    ".n5": ZARR,
    ".pkl": "save it as .npz: files of this kind can run programs, and are not opened",
    ".pt": "save it as .npz: files of this kind can run programs, and are not opened",
}
# formats that are a folder, of thousands of files that say nothing alone: what it holds, where its name does not tell
FOLDERS: dict[str, tuple[tuple[str, ...], str]] = {
    ".zarr": ((), ZARR),
    ".n5": ((), ZARR),
    ".d": (("analysis.tdf", "analysis.tsf", "analysis.baf", "AcqData"), VENDOR),
    ".raw": (("_FUNC001.DAT", "_HEADER.TXT"), VENDOR),
}


def advice(path: Path) -> str:
    """What to do with the file at `path`, by its suffix; empty where nothing is known."""
    return INSTEAD.get(path.suffix.lower(), "")


def folder_problem(path: Path) -> str | None:
    """Why a folder is not walked through, and what to do: it is one item of a format that no reader here takes."""
    signs, told = FOLDERS.get(path.suffix.lower(), ((), ""))
    if not told or not path.is_dir() or (signs and not any((path / name).exists() for name in signs)):
        return None
    return f"it is a folder of a format that is not read ({path.suffix}); {told}"
