"""Readers of files that others may have written, each with sound files to begin from."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import strategies as st
from PIL import Image

from fuzz.mutations import as_json, as_yaml, changed_bytes, changed_documents
from fuzz.parser import Parser
from vaeforge.config.loader import load
from vaeforge.data.arrays import array_names, read_array, read_npy
from vaeforge.data.delimited import dialect_of, read_frame, read_matrix
from vaeforge.data.images import open_picture, read_labels
from vaeforge.data.prepared import read_prepared_manifest
from vaeforge.data.series_text import read_series_text, voxel_names
from vaeforge.evaluation.manifest import read_evaluation
from vaeforge.evaluation.per_sample_scores import read_per_sample_scores
from vaeforge.generate.manifest import read_generation
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.tables import read_table
from vaeforge.ledger.history import read_history
from vaeforge.manifests.diffusion import read_diffusion
from vaeforge.manifests.export import read_export
from vaeforge.manifests.trained_model import read_trained_model
from vaeforge.package.contract import read_contract
from vaeforge.search.space.space import read_space
from vaeforge.track.replay import run_ids

ROOT = Path(__file__).parents[2]
MANIFESTS, LEDGERS, SPACES = ROOT / "tests/manifests", ROOT / "tests/ledgers", ROOT / "tune_spaces"


def manifest(name: str, read: Callable[[Path], Any]) -> Parser:
    seeds = [path.read_bytes() for path in MANIFESTS.glob(f"{name}*.json")]
    trees = [json.loads(seed) for seed in seeds]
    return Parser("manifest.json", read, changed_documents(trees, as_json) | changed_bytes(seeds))


def ledger_lines() -> st.SearchStrategy[bytes]:
    """A whole ledger in which a line of each kind is another."""
    texts = [(LEDGERS / f"{name}.jsonl").read_text() for name in ("budget", "population")]
    short: list[str] = []
    for text in texts:
        kinds: dict[str, str] = {}
        for line in text.splitlines():
            kinds.setdefault(json.loads(line)["event"], line)
        short.append("\n".join(kinds.values()) + "\n")

    def lines(tree: Any) -> str:
        return "".join(json.dumps(line) + "\n" for line in tree)

    trees = [[json.loads(line) for line in text.splitlines()] for text in short]
    return changed_documents(trees, lines) | changed_bytes([text.encode() for text in short])


def spaces() -> st.SearchStrategy[bytes]:
    seeds = [path.read_bytes() for path in sorted(SPACES.glob("*.yaml"))]
    return changed_documents([yaml.safe_load(seed) for seed in seeds], as_yaml) | changed_bytes(seeds)


def params() -> st.SearchStrategy[bytes]:
    seed = (ROOT / "params.yaml").read_bytes()
    return changed_documents([yaml.safe_load(seed)], as_yaml) | changed_bytes([seed])


def pictures() -> list[bytes]:
    """A small one of each format, in grey and in colour."""
    rng = np.random.default_rng(0)
    found = []
    for pixels in (rng.integers(0, 256, (9, 7, 3), np.uint8), rng.integers(0, 256, (9, 7), np.uint8)):
        for kind in ("png", "jpeg", "bmp", "tiff", "webp"):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, kind)
            found.append(file.getvalue())
    return found


def archives() -> list[bytes]:
    file, packed = io.BytesIO(), io.BytesIO()
    arrays: dict[str, Any] = {
        "images": np.zeros((2, 3, 3), np.uint8),
        "labels": np.arange(2),
        "classes": np.array(["a"]),
    }
    np.savez(file, **arrays)
    np.savez_compressed(packed, **arrays)
    return [file.getvalue(), packed.getvalue()]


def one_array() -> list[bytes]:
    found = []
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 3), np.int16)), np.array(["a", "é"])):
        file = io.BytesIO()
        np.save(file, array)
        found.append(file.getvalue())
    return found


def scores() -> list[bytes]:
    file = io.BytesIO()
    numbers, whole = np.arange(3.0), np.arange(3, dtype=np.int64)
    np.savez(file, nll=numbers, score=numbers, labels=whole % 2, groups=whole)
    return [file.getvalue()]


def label_maps() -> list[bytes]:
    file = io.BytesIO()
    Image.fromarray(np.arange(63, dtype=np.uint8).reshape(9, 7) % 3).save(file, "png")
    return [file.getvalue()]


TABLES = (
    b"x,y,z,a,b,section\n1,2,3,0.5,0.25,s1\n4,5,6,0.5,,s2\n7,8,9,1e-3,nan,s2\n",
    b"\xef\xbb\xbfx;y;a\n1,5;2,5;3\n4;5;6\n",
    b"# a comment\n1 2 3\n4 5 6\n",
    b'"x"\t"y"\t"a"\n"1"\t1\t2\t\n"2"\t3\t4\t\n',
    b'x,y,=1+1,\'-a,section\n1,2,3,4,"=HYPERLINK(""x"",""a"")"\n5,6,7,8,@SUM(A1)\n',
)


def read_arrays(path: Path) -> None:
    for name in array_names(path):
        read_array(path, name)


def read_text_table(path: Path) -> None:
    read_frame(path, dialect_of(path))


def read_series(path: Path) -> None:
    read_series_text(path)
    voxel_names(path)


PARSERS: dict[str, Parser] = {
    "space": Parser("space.yaml", read_space, spaces()),
    "params": Parser("params.yaml", lambda path: load(path.parent), params()),
    "ledger": Parser("ledger.jsonl", read_history, ledger_lines()),
    "manifest of a trained model": manifest("tune", read_trained_model),
    "manifest of an export": manifest("export", read_export),
    "manifest of an evaluation": manifest("evaluate", read_evaluation),
    "manifest of prepared data": manifest("prepare", lambda path: read_prepared_manifest(path.parent)),
    "manifest of a diffusion": manifest("diffuse", lambda path: read_diffusion(path.parent)),
    "manifest of generated images": manifest("generate", lambda path: read_generation(path.parent)),
    "contract": manifest("contract", read_contract),
    "cursor of tracking": Parser(
        "tracking.json",
        lambda path: run_ids(path.parent),
        changed_documents([{"store": "s", "ledger": "l", "offset": 3, "parent": "p", "trials": {"0": "r"}}], as_json),
    ),
    "npz": Parser("arrays.npz", read_arrays, changed_bytes(archives())),
    "npy": Parser("array.npy", read_npy, changed_bytes(one_array())),
    "per-sample scores": Parser("evidence.npz", read_per_sample_scores, changed_bytes(scores())),
    "picture": Parser("picture", open_picture, changed_bytes(pictures())),
    "labels": Parser("labels.png", read_labels, changed_bytes(label_maps())),
    "text table": Parser("table.csv", read_text_table, changed_bytes(TABLES)),
    "table of points": Parser("points.csv", lambda path: read_table(path, ImportOptions()), changed_bytes(TABLES)),
    "matrix": Parser("matrix.txt", read_matrix, changed_bytes(TABLES)),
    "series": Parser("series.csv", read_series, changed_bytes(TABLES)),
}
