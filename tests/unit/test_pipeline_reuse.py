"""What `register` takes over from earlier steps, and what it makes anew."""

import io
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from bundle_checks import export_only
from later_steps import evaluated, exported
from registered import untrained_model
from vaeforge import pipeline
from vaeforge.errors import RegistryError
from vaeforge.evaluation.manifest import EvaluationManifest
from vaeforge.manifests.export import ExportManifest
from vaeforge.manifests.trained_model import write_trained_model
from vaeforge.package.bundle import MAIN
from vaeforge.package.contract import CONTRACT, read_contract
from vaeforge.paths import sha256_of
from vaeforge.registry.one_threshold import require_one_threshold


@pytest.mark.long
def test_another_quantile_makes_evaluation_and_export_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_only(monkeypatch, MAIN)
    project, model = untrained_model("endoscopy", tmp_path)
    write_trained_model(project.step("tune") / "manifest.json", model)
    evaluated(project, model)
    exported(project, model)
    submitted: list[tuple[EvaluationManifest, ExportManifest]] = []

    def keep(_: Any, __: Any, evaluation: EvaluationManifest, export: ExportManifest, *___: Any) -> None:
        submitted.append((evaluation, export))

    monkeypatch.setattr(pipeline, "_register", keep)
    monkeypatch.setattr("vaeforge.registry.register.write_registration", lambda *_: None)
    made = []
    for quantile in (0.95, 0.8):
        (tmp_path / "params.yaml").write_text(f"endoscopy:\n  gates: {{threshold_quantile: {quantile}}}\n")
        pipeline.register(project, None, None, Console(file=io.StringIO()))
        contract, metrics = read_contract(project.step("export") / CONTRACT), submitted[-1][0].metrics
        assert contract.quantile == metrics["val/threshold_quantile"] == quantile
        assert contract.threshold == pytest.approx(metrics["val/threshold"])
        made.append((project.step("export") / "manifest.json").stat().st_mtime_ns)
    pipeline.register(project, None, None, Console(file=io.StringIO()))
    assert (project.step("export") / "manifest.json").stat().st_mtime_ns == made[-1] != made[0]  # nothing changed since
    assert submitted[-1][1].files[CONTRACT] == sha256_of(project.step("export") / CONTRACT)


@pytest.mark.parametrize(("quantile", "threshold", "fits"), [(0.95, 2.0, True), (0.9, 2.0, False), (0.95, 2.1, False)])
def test_a_package_with_another_threshold_than_was_measured_is_not_registered(
    quantile: float, threshold: float, fits: bool
) -> None:
    contract: Any = SimpleNamespace(quantile=quantile, threshold=threshold)
    evaluation: Any = SimpleNamespace(metrics={"val/threshold": 2.0, "val/threshold_quantile": 0.95})
    with nullcontext() if fits else pytest.raises(RegistryError, match=r"measured 2 for 0\.95; run `vaeforge"):
        require_one_threshold(contract, evaluation)
