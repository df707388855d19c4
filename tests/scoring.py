"""Untrained models of every family as exported folders, and scorings of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import torch
from rich.console import Console

from project import command_line
from samples import SMALL
from vaeforge.config.experiment import family_named
from vaeforge.config.layouts import layout_named
from vaeforge.data.missing import FILL
from vaeforge.data.prepared import Prepared, load_prepared
from vaeforge.package.bundle import Bundle
from vaeforge.package.contract_writer import (
    ExportedGraph,
    channel_names,
    graph_file,
    noted_reading,
    source_voxels,
)
from vaeforge.package.export import export_graphs
from vaeforge.package.graphs import graphs_of
from vaeforge.paths import write_json
from vaeforge.records import to_json
from vaeforge.registry.fetch import Fetched
from vaeforge.score.files import find
from vaeforge.score.read_options import ReadOptions
from vaeforge.score.step import ScoreOptions, ScoreOutcome, score_run
from vaeforge_models.vae import VAE, DataSpec, build_seeded

CLASSES = ("round", "flat", "long")
CONDITIONS = {"cilia": CLASSES, "lipid": ("x", "y", "z")}
CHANNELS = {"lipid": tuple(f"lipid {number}" for number in range(6))}
PREPARE: dict[str, dict[str, Any]] = {
    "endoscopy": {"size": 32, "margin": 16, "stride": 8},
    "cilia": {"size": 32, "fit": "pad"},
    "speckle": {"size": 32, "stride": 16},
    "fmri": {},
    "lipid": {"reading": "points", "log1p": False, "scaling": "standard"},
}


def untrained(family: str, spec: DataSpec | None = None) -> VAE:
    """A small model with random weights."""
    definition = family_named(family)
    settings = definition.settings.model_validate({**definition.presets["sample"].get("model", {}), **SMALL[family]})
    return build_seeded(definition.build, settings, spec or definition.example, seed=1).eval()


def write_bundle(folder: Path, family: str, model: VAE, threshold: float = 0.1, **changes: Any) -> Bundle:
    """An exported folder with the graphs that score, and a contract in which `changes` replace entries."""
    condition = changes.pop("condition", CONDITIONS.get(family, ()))
    graphs = {name: graph for name, graph in graphs_of(model, len(condition)).items() if name in ("model", "error_map")}
    files = export_graphs(graphs, folder, {"family": family})
    contract = {
        "family": family,
        "task": family_named(family).task,
        "data": family_named(family).data,
        "prepare": PREPARE[family],
        "event_shape": list(model.event_shape),
        "condition": list(condition),
        "channels": list(CHANNELS.get(family, ())),
        "latent_dim": model.latent_dim,
        "threshold": threshold,
        "quantile": 0.95,
        "cut": layout_named(family_named(family).data).always_cut,
        "graphs": {name: to_json(graph_file(ExportedGraph(path))) for name, path in files.items()},
    }
    write_json(folder / "contract.json", contract | changes)
    return Bundle(folder)


def imported(root: Path, family: str, source: str, *options: str) -> tuple[Path, VAE]:
    """An exported folder with an untrained model of what `source` was imported and prepared to."""
    (root / "params.yaml").write_text(f"family: {family}\n{family}: {{}}\n")
    for command in (("import", source, "--family", family, *options), ("prepare", "--family", family)):
        done = command_line(root, *command)
        assert done.code == 0, done.stderr
    prepared = load_prepared(root / "artifacts/prepared" / family)
    model = untrained(family, prepared.spec)
    write_bundle(root / "bundle", family, model, **noted(prepared))
    return root / "bundle", model


def noted(prepared: Prepared) -> dict[str, Any]:
    """What a contract has of prepared data."""
    found: dict[str, Any] = {"plane": prepared.manifest.info.get("plane"), "missing": FILL in prepared.constants}
    found |= {"source_voxels": to_json(source_voxels(prepared)), "channels": list(channel_names(prepared))}
    return found | {"source_reading": to_json(noted_reading(prepared))}


def scored(root: Path, source: str, *options: str) -> dict[str, Any]:
    """The scores of a source by the model in the folder `bundle`, on the command line."""
    folder = f"scored-{'-'.join((source, *options)).replace('/', '-')}"
    done = command_line(root, "score", "bundle", source, "--output", folder, *options)
    assert done.code == 0, done.stderr
    return scores_of(root / folder)


def score(bundle: Bundle, source: Path, folder: Path, **wanted: Any) -> ScoreOutcome:
    """Score with the options given, quietly."""
    reading = {name: wanted.pop(name) for name in ("label", "pictures", "batch", "threads") if name in wanted}
    read = ReadOptions(**{"label": None, "pictures": None, "batch": 4, "threads": 1, **reading})
    defaults: dict[str, Any] = {"graph": "model", "latents": True, "error_maps": False, "format": "parquet"}
    options = ScoreOptions(**{"reading": read, **defaults, **wanted})
    return score_run(Fetched(bundle), find(source), folder, options, Console(quiet=True), quiet=True)


def scores_of(folder: Path) -> dict[str, Any]:
    """The columns of what was scored."""
    path = folder / "scores.parquet"
    table = pyarrow.parquet.read_table(path) if path.exists() else pyarrow.csv.read_csv(folder / "scores.csv")
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


@torch.no_grad()
def torch_scores(model: VAE, x: Any, condition: Any = None) -> Any:
    """What torch says of the same samples, one score each."""
    given = np.zeros((len(x), 0), dtype=np.float32) if condition is None else condition
    raw = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    return model.reconstruct(raw, torch.from_numpy(np.array(given, dtype=np.float32)))[2].numpy()
