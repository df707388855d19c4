"""Throughput and memory of `vaeforge score`, beside torch eager with the same weights and a minimal loop.

    python benchmarks/score_throughput.py --model artifacts/export [--count 10000] [--batch 64] [--threads 2]

The images are made of the project's prepared ones: random crops of training images, mirrored, brightened or darkened by
up to a tenth; as a folder of PNG and as an `.npz`. Each is scored by `vaeforge score` in a process of its own, and by
torch in another: the checkpoint of the exported model loaded as every step loads it, the same batch, the same number of
threads, PNG decoded one after another by the same function, scores and latents kept. The minimal loop, in a third, does
nothing but open pictures with Pillow, batch by batch, and run the graph with onnxruntime. Items per second are counted
from the first item to the last, start-up and imports not, for torch and the loop one batch to warm up neither; the wall
and CPU seconds of the whole process are beside it. Nobody's threads wait by spinning. Peak memory is what the kernel
tells of the ended process. Last, a scoring of the folder is killed half way and called again, and its rows are counted.
With `--source` the scoring build is that of another checkout.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("onnxruntime", "torch", "numpy", "pyarrow", "pillow")


def make_images(project: Path, family: str, side: int, count: int, folder: Path) -> None:
    """Write `count` images as `folder`/png and `folder`/x.npz."""
    from PIL import Image

    from vaeforge.data.prepared import load_training
    from vaeforge.paths import Project

    train = load_training(Project(project).prepared(family))[0].x
    rng = np.random.default_rng(0)
    (folder / "png").mkdir()
    made = np.empty((count, train.shape[1], side, side), dtype=np.uint8)
    for number in range(count):
        image = np.asarray(train[rng.integers(len(train))])
        top, left = (rng.integers(size - side + 1) for size in image.shape[1:])
        crop = image[:, top : top + side, left : left + side][:, :: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        made[number] = np.clip(crop * rng.uniform(0.9, 1.1), 0, 255)
        pixels = made[number].transpose(1, 2, 0)
        Image.fromarray(pixels[..., 0] if len(made[number]) == 1 else pixels).save(folder / "png" / f"{number:06d}.png")
    np.savez(folder / "x.npz", x=made)


def sources(checkout: Path) -> list[str]:
    """Where the packages of a checkout lie."""
    return [str(checkout / name) for name in ("platform", "models")]


def measured(command: list[str], asked: argparse.Namespace) -> dict[str, Any]:
    """Run `command` to its end: its output, wall and CPU seconds, and the most memory that it held in MB."""
    threads, project = asked.threads, asked.project
    variables = {"PYTHONPATH": os.pathsep.join(sources(asked.source)), "OMP_NUM_THREADS": str(threads)}
    variables |= {"OMP_WAIT_POLICY": "PASSIVE"}
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=project, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: ended with {os.waitstatus_to_exitcode(status)}\n{output}")
    told = {"output": output, "wall": time.monotonic() - began, "peak_mb": usage.ru_maxrss / 1024}
    return told | {"cpu": usage.ru_utime + usage.ru_stime}


def score_command(asked: argparse.Namespace, source: Path, output: Path) -> list[str]:
    """`vaeforge score` of `source`."""
    command = [sys.executable, "-m", "vaeforge", "score", str(asked.model), str(source), "--output", str(output)]
    command += ["--batch", str(asked.batch), "--threads", str(asked.threads), "--latents", "true"]
    return [*command, "--pictures", "sample"] if source.is_dir() else command


def ours(asked: argparse.Namespace, source: Path, output: Path) -> dict[str, Any]:
    """One scoring by vaeforge."""
    run = measured(score_command(asked, source, output), asked)
    manifest = json.loads((output / "manifest.json").read_text())
    del run["output"]
    return {"items_per_second": manifest["items_per_second"]} | run


def other(asked: argparse.Namespace, source: Path, how: str) -> dict[str, Any]:
    """One scoring by torch (`eager`) or a `minimal` loop, in a process of its own."""
    options = ["--model", str(asked.model), "--project", str(asked.project), "--winner", str(asked.winner)]
    options += ["--batch", str(asked.batch), "--threads", str(asked.threads), f"--{how}", str(source)]
    run = measured([sys.executable, str(Path(__file__).resolve()), *options], asked)
    return {"items_per_second": float(run.pop("output").splitlines()[-1])} | run


def minimal(asked: argparse.Namespace) -> None:
    """Score `asked.minimal` with Pillow and onnxruntime alone and print items per second."""
    import onnxruntime
    from PIL import Image

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = asked.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(asked.model / "model.onnx"), options, ["CPUExecutionProvider"])
    session.run(None, {"x": np.zeros((asked.batch, *session.get_inputs()[0].shape[1:]), np.float32)})
    paths = sorted(asked.minimal.iterdir()) if asked.minimal.is_dir() else []
    began = time.perf_counter()
    whole = None if paths else np.load(asked.minimal)["x"]
    count, kept = len(paths) if whole is None else len(whole), []
    for first in range(0, count, asked.batch):
        if whole is None:
            pictures = [np.asarray(Image.open(path)) for path in paths[first : first + asked.batch]]
            x = np.stack([one[None] if one.ndim == 2 else one.transpose(2, 0, 1) for one in pictures])
        else:
            x = whole[first : first + asked.batch]
        kept.append(session.run(["mu", "logvar", "score"], {"x": np.ascontiguousarray(x, dtype=np.float32)}))
    print(count / (time.perf_counter() - began))


def eager(asked: argparse.Namespace) -> None:
    """Score `asked.eager` by torch and print items per second; what the process of `other` runs."""
    import torch

    from vaeforge.data.images import open_picture
    from vaeforge.manifests.export import read_export
    from vaeforge.manifests.trained_model import read_trained_model
    from vaeforge.package.inputs import channels_first
    from vaeforge.paths import Project
    from vaeforge.trained import load_trained_model

    torch.set_num_threads(asked.threads)
    manifest, export = read_trained_model(asked.winner), read_export(asked.model / "manifest.json")
    if manifest.checkpoint.sha256 != export.lineage.checkpoint.sha256:
        raise SystemExit(f"{asked.winner}: is of another checkpoint than {asked.model}; give --winner")
    model = load_trained_model(Project(asked.project), manifest).model
    channels = model.event_shape[0]
    with torch.inference_mode():
        model.reconstruct(torch.zeros(asked.batch, *model.event_shape), torch.zeros(asked.batch, 0))
    paths = sorted(asked.eager.iterdir()) if asked.eager.is_dir() else []
    began = time.perf_counter()
    whole = np.load(asked.eager)["x"] if not paths else None
    count, kept = len(paths) if whole is None else len(whole), []
    for first in range(0, count, asked.batch):
        if whole is None:
            opened = (open_picture(path) for path in paths[first : first + asked.batch])
            x = np.stack([channels_first(one, channels) for one in opened])
        else:
            x = whole[first : first + asked.batch]
        raw = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
        with torch.inference_mode():
            _, posterior, score = model.reconstruct(raw, raw.new_zeros(len(raw), 0))
        kept.append((score.numpy(), posterior.mu.numpy()))
    print(count / (time.perf_counter() - began))


def killed(asked: argparse.Namespace, source: Path, output: Path) -> dict[str, Any]:
    """Kill a scoring half way, call it again, and count rows."""
    import pyarrow.parquet

    command = score_command(asked, source, output)
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sources(asked.source))}
    process = subprocess.Popen(command, cwd=asked.project, env=variables, stdout=subprocess.DEVNULL)
    while process.poll() is None and _done(output / "parts") < asked.count // 2:
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = _done(output / "parts")
    if (output / "manifest.json").exists():
        return {"note": f"{asked.count} images were scored before they could be killed half way; raise --count"}
    run = ours(asked, source, output)
    items = pyarrow.parquet.read_table(output / "scores.parquet")["item"].to_pylist()
    return {"kept": before, "rows": len(items), "different": len(set(items)), "wall": run["wall"]}


def _done(parts: Path) -> int:
    """How many inputs the finished parts hold."""
    from vaeforge.score.partial_results import PartialResults

    return PartialResults(parts).progress().inputs if parts.is_dir() and PartialResults(parts).paths() else 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=lambda given: Path(given).resolve(), required=True, help="exported folder")
    parser.add_argument("--project", type=lambda given: Path(given).resolve(), default=Path.cwd())
    parser.add_argument("--winner", type=Path, help="manifest of its training; unset: artifacts/tune/manifest.json")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--source", type=Path, default=ROOT, help="checkout of the build that scores; this one")
    parser.add_argument("--eager", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--minimal", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path[:0] = sources(ROOT)
    asked.winner = asked.winner or asked.project / "artifacts" / "tune" / "manifest.json"
    if asked.eager:
        eager(asked)
        return
    if asked.minimal:
        minimal(asked)
        return
    contract = json.loads((asked.model / "contract.json").read_text())
    if contract["data"] not in ("pictures", "frames"):
        parser.error(f"--model: takes {contract['data']}, must take pictures or frames")
    work = Path(tempfile.mkdtemp(prefix="score-"))
    try:
        make_images(asked.project, contract["family"], contract["event_shape"][-1], asked.count, work)
        found = {"count": asked.count, "batch": asked.batch, "threads": asked.threads, "machine": platform.machine()}
        found |= {name: version(name) for name in PACKAGES}
        for name, source in (("png", work / "png"), ("npz", work / "x.npz")):
            rows = {"vaeforge": ours(asked, source, work / f"out-{name}")}
            rows |= {"torch": other(asked, source, "eager"), "minimal": other(asked, source, "minimal")}
            speed = {who: row["items_per_second"] for who, row in rows.items()}
            ratios = {f"vaeforge / {who}": speed["vaeforge"] / speed[who] for who in ("torch", "minimal")}
            found[name] = {**rows, **ratios}
        found["killed half way"] = killed(asked, work / "png", work / "out-killed")
        print(json.dumps(found, indent=2))
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
