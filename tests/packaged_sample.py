"""Projects whose data are prepared and whose model is exported, untrained: what follows a search, without one."""

from pathlib import Path
from typing import Any

from later_steps import exported
from manifest_samples import model_manifest
from samples import small_experiment
from vaeforge.config.experiment import Experiment
from vaeforge.data.prepare import ensure_prepared
from vaeforge.data.prepared import Prepared
from vaeforge.paths import Project
from vaeforge.trained import TrainedModel
from vaeforge.training.checkpoint import save
from vaeforge.training.loop import untrained
from vaeforge_models.families import families

SMALL: dict[str, dict[str, Any]] = {"endoscopy": {"model__width": 4, "model__latent_dim": 8}}


def prepared_model(root: Path, family: str, **settings: Any) -> tuple[Experiment, Prepared, TrainedModel]:
    """The data in `root` prepared, and an untrained model of them."""
    project, small = Project(root), SMALL.get(family, {})
    experiment = small_experiment(families()[family], root, **(small | settings))
    prepared = ensure_prepared(project, experiment)
    return experiment, prepared, TrainedModel(untrained(experiment, prepared.spec).eval(), prepared, experiment)


def packaged(root: Path, family: str, **settings: Any) -> Path:
    """The folder of the untrained model, exported; `vaeforge register` would find it there."""
    project = Project(root)
    experiment, prepared, trained = prepared_model(root, family, **settings)
    checkpoint = save(project.step("tune") / "best.pt", {"model": trained.model.state_dict()}, epoch=1)
    manifest = model_manifest(
        family=family,
        experiment=experiment.model_dump(mode="json"),
        event_shape=list(prepared.event_shape),
        condition_dim=prepared.spec.condition_dim,
        checkpoint={"path": "artifacts/tune/best.pt", "sha256": checkpoint.sha256, "epoch": 1},
        data_identity=prepared.manifest.data_identity,
    )
    exported(project, manifest)
    return project.step("export")
