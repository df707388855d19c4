"""The steps `evaluate` and `export` of a made-up model."""

from pathlib import Path

from vaeforge.evaluation.manifest import EvaluationManifest
from vaeforge.evaluation.step import evaluate_run
from vaeforge.manifests.export import ExportManifest
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.package.step import export_run
from vaeforge.paths import Project
from vaeforge.trained import load_trained_model, with_diffusion


def evaluated(project: Project, model: TrainedModelManifest, folder: Path | None = None) -> EvaluationManifest:
    """Evaluate a model, by default where the step `evaluate` does."""
    trained = load_trained_model(project, model)
    return evaluate_run(project, model, trained, folder or project.step("evaluate"))


def exported(project: Project, model: TrainedModelManifest, *precisions: str, diffused: bool = False) -> ExportManifest:
    """Export a model, with the diffusion model that the step `diffuse` made of it if it was `diffused`."""
    trained = load_trained_model(project, model)
    if diffused:
        trained = with_diffusion(trained, model, project.step("diffuse"))
    return export_run(project, model, trained, project.step("export"), precisions)
