"""Import and prepare of large data: images per second, bytes read and peak memory, beside what a library needs alone.

    python benchmarks/large_data.py pictures [--count 20000] [--family endoscopy]
    python benchmarks/large_data.py series [--timepoints 1000] [--grid 65]     (274 million values)
    python benchmarks/large_data.py table [--points 2000000] [--channels 200]

Data are generated into a temporary folder (`--folder`), and `vaeforge import` and `vaeforge prepare` run in processes
of their own. Peak memory is what the kernel tells of the ended process, bytes are what it read and wrote by system
calls (`/proc/PID/io`), wherever they lay. Pictures are compared with a process that does nothing but decode the same
files with Pillow, in as many threads as there are cores, before and after. With `--source` another checkout's code
runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SIDE = 128
KINDS = {"pictures": "endoscopy", "series": "fmri", "table": "lipid"}


def measured(command: list[str], folder: Path, source: Path) -> dict[str, float]:
    """Run `command` to its end: seconds, most memory in MB, MB read and written."""
    path = os.pathsep.join(str(source / name) for name in ("platform", "models"))
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # until it is waited for, its counters can be read
    counters = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: ended with {os.waitstatus_to_exitcode(status)}\n{output.decode()}")
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "read_mb": int(counters["rchar"]) / 1e6,
        "written_mb": int(counters["wchar"]) / 1e6,
    }


def write_pictures(folder: Path, count: int, grey: bool) -> None:
    """Smooth pictures with some noise, in two classes, normal and other."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 230, (8, 8) if grey else (8, 8, 3), np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        pixels = smooth + rng.integers(0, 8, smooth.shape, np.uint8)
        path = folder / ("other" if number % 4 == 0 else "normal") / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def write_series(folder: Path, side: int, timepoints: int) -> None:
    """One 4-D NIfTI file of 16 bits, a timepoint at a time."""
    import nibabel

    rng, (path, affine) = np.random.default_rng(0), (folder / "sub-01_bold.nii", np.eye(4))
    header = nibabel.Nifti1Header()
    header.set_data_shape((side, side, side, timepoints))
    header.set_data_dtype(np.int16)
    header.set_sform(affine, 1)
    header.set_xyzt_units("mm", "sec")
    header["pixdim"][4], header["magic"], header["vox_offset"] = 2, b"n+1", 352
    base = rng.integers(500, 2000, (side, side, side))
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(timepoints):
            file.write((base + rng.integers(-50, 50, base.shape)).astype("<i2").tobytes(order="F"))


def write_table(folder: Path, points: int, channels: int) -> None:
    """A parquet table of points on a grid, a row group at a time."""
    import pyarrow
    import pyarrow.parquet

    rng, names, group = np.random.default_rng(0), [f"m{number}" for number in range(channels)], 65536
    kinds = [(name, pyarrow.float32()) for name in ("x", "y", "z", *names)]
    folder.mkdir(parents=True, exist_ok=True)
    across = int(np.sqrt(points))
    with pyarrow.parquet.ParquetWriter(folder / "points.parquet", pyarrow.schema(kinds)) as writer:
        for first in range(0, points, group):
            number = np.arange(first, min(first + group, points))
            x, y = (axis.astype(np.float32) for axis in (number % across, number // across))
            values = rng.gamma(2, 1, (channels, len(x))).astype(np.float32)
            writer.write_table(pyarrow.table([x, y, np.zeros_like(x), *values], schema=pyarrow.schema(kinds)))


def decode_all(folder: Path) -> None:
    """Print the pictures that Pillow alone decodes in a second, in a thread a core."""
    from PIL import Image

    def decoded(path: Path) -> int:
        with Image.open(path) as opened:
            return len(np.asarray(opened))

    paths = sorted(folder.rglob("*.png"))
    began = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        assert set(pool.map(decoded, paths)) == {SIDE}
    print(len(paths) / (time.perf_counter() - began))


def pillow(folder: Path) -> float:
    """Pictures a second by Pillow, in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "decode", "--folder", str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Generate, import and prepare."""
    source, project = folder / "source", folder / "project"
    family = asked.family or KINDS[asked.what]
    if asked.what == "pictures":
        write_pictures(source, asked.count, grey=family != "endoscopy")
    elif asked.what == "series":
        write_series(source, asked.grid, asked.timepoints)
    else:
        write_table(source, asked.points, asked.channels)
    project.mkdir()
    (project / "params.yaml").write_text(f"family: {family}\n")
    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) / 1e6
    found: dict[str, Any] = {"source_mb": size}
    if asked.what == "pictures":
        found["pillow_images_per_second"] = [pillow(source)]
    command = [sys.executable, "-m", "vaeforge"]
    options = ["--family", family, "--track", "false", "--yes", "true"]
    found["import"] = measured([*command, "import", str(source), *options], project, asked.source)
    found["prepare"] = measured([*command, "prepare", "--family", family], project, asked.source)
    kept = [path for path in (project / "data" / family).rglob("*") if path.is_file()]
    found["imported_mb"] = sum(path.stat().st_size for path in kept) / 1e6
    shown = [path for path in (project / "artifacts").rglob("*.npy") if path.is_file()]
    found["prepared_mb"] = sum(size for size, _ in {(p.stat().st_size, p.stat().st_ino) for p in shown}) / 1e6
    if asked.what == "pictures":
        found["pillow_images_per_second"].append(pillow(source))
        ours = asked.count / (found["import"]["seconds"] + found["prepare"]["seconds"])
        best = max(found["pillow_images_per_second"])
        found |= {"images_per_second": ours, "of_pillow": ours / best}
    return found


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*KINDS, "decode"))
    parser.add_argument("--family")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--grid", type=int, default=65)
    parser.add_argument("--timepoints", type=int, default=1000)
    parser.add_argument("--points", type=int, default=2_000_000)
    parser.add_argument("--channels", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--source", type=Path, default=ROOT)
    asked = parser.parse_args()
    if asked.what == "decode":
        decode_all(asked.folder)
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        print(json.dumps(run(asked, Path(folder)), indent=2))


if __name__ == "__main__":
    main()
