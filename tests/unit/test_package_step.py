"""The export step of every family: what lies in the folder afterwards, and that it says what is true."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from bundle_checks import GRAPHS, export_only, require_shapes_as_run
from later_steps import exported
from manifest_samples import model_manifest, prepared_manifest
from samples import random_arrays, random_prepared, small_experiment
from vaeforge.data.prepare import write_data_set
from vaeforge.data.prepared import write_prepared_manifest
from vaeforge.diffuse.step import diffuse_run
from vaeforge.errors import ConfigError, RegistryError
from vaeforge.evaluation.inference import scores
from vaeforge.evaluation.latent_posteriors import library_of
from vaeforge.evaluation.threshold import threshold_of
from vaeforge.manifests.export import ExportManifest, read_export
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.package import step
from vaeforge.package.bundle import MAIN, Bundle
from vaeforge.package.precision import TOLERANCES
from vaeforge.paths import Project, read_json, sha256_of
from vaeforge.records import to_json
from vaeforge.samples import DataSet
from vaeforge.trained import load_trained_model, with_diffusion
from vaeforge.training.checkpoint import save
from vaeforge.training.loop import fit
from vaeforge_models.families import families
from vaeforge_models.family import Family

pytestmark = pytest.mark.usefixtures("converted_anew")

DIFFUSION = {"diffusion__steps": 4, "diffusion__timesteps": 100, "diffusion__sampling_steps": 10}
SMALL = {"diffusion__width": 0.125, "diffusion__validation_interval": 2}
LARGE_GRAPHS = ("cilia", "lipid", "speckle")  # ten to twenty seconds each


def finished(family: Family, root: Path, **overrides: Any) -> tuple[Project, TrainedModelManifest]:
    """A project with random data and a model of such data, and the manifest that `tune` would have written."""
    project = Project(root)
    prepared = random_prepared(family, project.prepared(family.name), train=24)
    groups = [f"{group:02d}" for group in prepared.test_groups]
    parts = (prepared.train, prepared.validation, prepared.test)
    data = DataSet(*parts, prepared.test_labels, groups, constants=prepared.constants)
    names = {"classes": {"classes": ["a", "b", "c"]}, "points": {"channels": [f"c{n}" for n in range(6)]}}
    arrays, info = write_data_set(prepared.folder, data), names.get(family.data, {})
    described = prepared_manifest(family=family.name, counts={"train": 24}, info=info, arrays=arrays)
    write_prepared_manifest(prepared.folder, described)
    experiment = small_experiment(family, root, **overrides)
    (*_, last) = fit(experiment, random_arrays(family), folder=root / "checkpoints")
    assert last.checkpoint is not None
    weights = torch.load(last.checkpoint.file, weights_only=True)["model"]
    checkpoint = save(project.step("tune") / "best.pt", {"model": weights}, epoch=1)
    return project, model_manifest(
        family=family.name,
        experiment=experiment.model_dump(mode="json"),
        checkpoint={"path": "artifacts/tune/best.pt", "sha256": checkpoint.sha256, "epoch": 1},
    )


def diffuse(project: Project, manifest: TrainedModelManifest) -> None:
    diffuse_run(project, manifest, load_trained_model(project, manifest), project.step("diffuse"))


@pytest.fixture(
    params=[pytest.param(one, marks=[pytest.mark.long] * (one in LARGE_GRAPHS)) for one in sorted(families())]
)
def family(request: pytest.FixtureRequest) -> Family:
    return families()[request.param]


@pytest.mark.slow
def test_every_family_exports_in_all_precisions(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained weights, so that no layer is still at its first values.

    Of the main graph alone, the one that has precisions; `tests/e2e/test_every_family.py` exports all others.
    """
    export_only(monkeypatch, MAIN)
    project, model = finished(family, tmp_path)
    folder = project.step("export")
    manifest = exported(project, model, "fp16", "int8")
    assert read_export(folder / "manifest.json") == manifest
    assert read_json(folder / "manifest.json", "") == to_json(manifest)
    assert all(sha256_of(folder / name) == digest for name, digest in manifest.files.items())
    bundle, loaded = Bundle(folder), load_trained_model(project, model)
    contract = bundle.contract
    assert set(contract.graphs) == {MAIN, "model_fp16", "model_int8"} | ({"picture"} & GRAPHS[family.name])
    assert (contract.family, contract.task, contract.data) == (family.name, family.task, family.data)
    assert contract.event_shape == family.example.event_shape
    quantile = loaded.experiment.gates.threshold_quantile
    threshold = threshold_of(scores(loaded.model, loaded.prepared.validation), quantile)
    assert (contract.threshold, contract.quantile, contract.threshold_rate) == (
        threshold.value,
        threshold.quantile,
        threshold.rate,
    )
    expected = {"cilia": ("a", "b", "c"), "lipid": ("x", "y", "z")}
    assert contract.condition == expected.get(family.name, ())
    assert contract.channels == (tuple(f"c{n}" for n in range(6)) if family.name == "lipid" else ())
    require_shapes_as_run(bundle)
    assert bundle.reference["score"].shape == (11,)
    assert bundle.reference["mu"].shape == (11, contract.latent_dim)
    np.testing.assert_allclose(bundle.reference["score"], scores(loaded.model, loaded.prepared.validation), rtol=1e-4)
    _require_precisions(manifest, folder)


def _require_precisions(manifest: ExportManifest, folder: Path) -> None:
    parity = read_json(folder / "parity.json", "")
    assert parity["passed"] and parity["precision"] == "fp32"
    assert manifest.size_bytes == (folder / "model.onnx").stat().st_size
    assert manifest.latency_ms is not None and manifest.latency_ms.single_p50 > 0
    shares = {
        "fp16": 0.6,
        "int8": 0.9,
    }  # speckle's small net has half of its weights in convolutions, which int8 leaves
    for precision, share in shares.items():
        told = manifest.precisions[precision]
        assert told.passed and told.tolerance == TOLERANCES[precision]
        assert told.size_bytes < share * manifest.size_bytes
        assert parity["precisions"][precision]["quality"] == to_json(told.quality)
        assert told.quality.this.mse == pytest.approx(told.quality.fp32.mse, rel=0.05)
        assert told.quality.this != told.quality.fp32


@pytest.mark.long
def test_the_generating_graph_draws_what_the_aggregate_posterior_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_only(monkeypatch, MAIN, "decoder", "generate")
    family = families()["cilia"]
    project, model = finished(family, tmp_path)
    folder = project.step("export")
    exported(project, model)
    loaded = load_trained_model(project, model)
    labels = np.array([0, 2, 2, 1])
    library = library_of(loaded.model, loaded.prepared.train)
    noise = torch.Generator().manual_seed(5)
    z = library.aggregate(labels, noise)
    eps = torch.randn(4, loaded.model.latent_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    bundle = Bundle(folder)
    feeds = {"label": labels, "eps": eps.float().numpy()}
    (image,) = bundle.session("generate").run(None, feeds)
    condition = np.eye(3, dtype=np.float32)[labels]
    (expected,) = bundle.session("decoder").run(None, {"z": z.numpy(), "condition": condition})
    np.testing.assert_allclose(image, expected, atol=1e-3)
    assert np.abs(image[1] - image[2]).max() > 1e-3


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("name", "noise", "clip"), [("fmri", "linear", True), ("speckle", "cosine", False)])
def test_numpy_alone_samples_from_the_denoiser_as_torch_does(name: str, noise: str, clip: bool, tmp_path: Path) -> None:
    family = families()[name]
    chosen = DIFFUSION | SMALL | {"diffusion__noise": noise, "diffusion__clip": clip}
    project, model = finished(family, tmp_path, **chosen)
    diffuse(project, model)
    folder = project.step("export")
    exported(project, model, diffused=True)
    diffusion = with_diffusion(load_trained_model(project, model), model, project.step("diffuse")).diffusion
    assert diffusion is not None
    expected = diffusion.sample(3, torch.Generator().manual_seed(1), "ddim")
    seeds = torch.randint(2**63 - 1, (3,), generator=torch.Generator().manual_seed(1)).tolist()
    u = torch.cat([torch.randn(1, diffusion.latent_dim, generator=torch.Generator().manual_seed(s)) for s in seeds])
    schedule = json.loads((folder / "diffusion.json").read_text())
    found = ddim(Bundle(folder).session("denoiser"), schedule, u.numpy())
    np.testing.assert_allclose(found, expected.numpy(), rtol=2e-3, atol=2e-3)


def ddim(session: onnxruntime.InferenceSession, schedule: dict[str, Any], u: np.ndarray) -> np.ndarray:
    """DDIM without noise, as the denoising graph's documentation says it."""
    stride, bound = schedule["timesteps"] // schedule["sampling_steps"], schedule["bound"]
    for t in range(schedule["timesteps"] - stride, -1, -stride):
        (eps,) = session.run(None, {"latent": u.astype(np.float32), "t": np.full(len(u), t)})
        abar = schedule["alphas_cumprod"][t]
        following = schedule["alphas_cumprod"][t - stride] if t >= stride else 1.0
        clean = (u - np.sqrt(1 - abar) * eps) / np.sqrt(abar)
        if bound is not None:
            clean = np.clip(clean, -bound, bound)
            eps = (u - np.sqrt(abar) * clean) / np.sqrt(1 - abar)
        u = np.sqrt(following) * clean + np.sqrt(1 - following) * eps
    return np.array(schedule["mean"]) + np.array(schedule["std"]) * u


def test_an_unknown_precision_is_refused_before_anything_is_removed(tmp_path: Path) -> None:
    project, model = finished(families()["fmri"], tmp_path)
    earlier = project.step("export") / "model.onnx"
    earlier.parent.mkdir()
    earlier.write_bytes(b"earlier")
    with pytest.raises(ConfigError, match=r"--precision: got 'fp8', must be one or more of fp32, fp16, int8"):
        exported(project, model, "fp8")
    assert earlier.read_bytes() == b"earlier"


@pytest.mark.slow
def test_a_precision_that_fails_is_named_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_only(monkeypatch, MAIN)
    project, model = finished(families()["fmri"], tmp_path)
    folder = project.step("export")
    exported(project, model, "int8")
    monkeypatch.setitem(step.TOLERANCES, "fp16", 1e-9)
    with pytest.raises(RegistryError, match=r"model\.fp16\.onnx: output '\w+' \(.*CPU\) differs .* 1e-09 for fp16"):
        exported(project, model, "fp16")
    assert not (folder / "model.fp16.onnx").exists()
    assert not (folder / "model.int8.onnx").exists()  # of the earlier export
    assert not (folder / "manifest.json").exists()
    assert read_json(folder / "parity.json", "")["precisions"]["fp16"]["passed"] is False


@pytest.mark.long
@pytest.mark.slow
def test_exporting_twice_gives_the_same_files(tmp_path: Path) -> None:
    project, model = finished(families()["cilia"], tmp_path)
    first, second = (exported(project, model, "fp16", "int8").files for _ in range(2))
    assert {name for name in first if first[name] != second[name]} == set()
