"""Origin of a search: its lineage, and the commands that reproduce it."""

import shlex
from collections.abc import Iterator

from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.report.figure import DataTable
from vaeforge.report.record import SearchRecord


def lineage(record: SearchRecord) -> DataTable:
    """What the search and its winner came of, one row each; what was not recorded is left out."""
    rows = {name: value for name, value in _facts(record) if value}
    return DataTable(("what", "value"), tuple(rows.items()))


def _facts(record: SearchRecord) -> Iterator[tuple[str, str]]:
    header, model = record.history.header, record.model
    assert header is not None
    yield "family", header.family
    yield "data set", header.data_set.name if header.data_set else header.data_source
    yield "data identity", header.data_identity
    yield "data hash (DVC)", header.data_hash or ""
    yield "git commit", (header.git.commit or "") if header.git else ""
    yield "uncommitted changes", "yes, kept as a patch" if header.git and header.git.dirty else ""
    yield "vaeforge's code", header.code_hash or ""
    yield "configuration", header.configuration_hash or ""
    yield "pinned packages (SHA-256 of the lock)", header.lock_sha256 or ""
    yield "seed", "" if header.seed is None else str(header.seed)
    yield "processor", header.machine.cpu if header.machine and header.machine.cpu else ""
    yield "torch", header.machine.torch if header.machine and header.machine.torch else ""
    for known in record.history.warm_starts:
        yield f"informed by {known.source}", f"{len(known.trials)} trials, their {known.use}"
    if model is not None:
        yield "winner's checkpoint (SHA-256)", model.checkpoint.sha256
        yield "MLflow run of the search", model.lineage.mlflow.parent_run_id or ""
        yield "MLflow run of the winner", model.lineage.mlflow.run_id or ""
        yield "registered model", model.lineage.registered_model


def lineage_of_model(model: TrainedModelManifest) -> DataTable:
    """What a registered version came of, one row each; what was not recorded is left out."""
    found = model.lineage
    facts = {
        "family": found.family,
        "data set": str(found.data_set) if found.data_set else "",
        "data identity": found.data_identity,
        "data hash (DVC)": found.data_hash or "",
        "git commit": (found.git.commit or "") if found.git else "",
        "vaeforge's code": found.code_hash or "",
        "configuration": found.configuration_hash or "",
        "search": str(found.search or ""),
        "trial": "" if found.trial is None else str(found.trial),
        "checkpoint (SHA-256)": model.checkpoint.sha256,
    }
    return DataTable(("what", "value"), tuple((name, value) for name, value in facts.items() if value))


def commands(record: SearchRecord) -> list[str]:
    """Shell lines that bring back code and data and run the search again, then its winner alone."""
    header = record.history.header
    assert header is not None
    lines = [f"git checkout {header.git.commit}"] if header.git and header.git.commit else []
    lines += ["dvc pull data.dvc"] if header.data_hash else []
    lines += [f"vaeforge prepare --family {shlex.quote(header.family)}"]
    lines += [without_unset(header.command)] if header.command else []
    lines += [f"vaeforge train --from {shlex.quote(f'{header.name}#{record.best.number}')}"] if record.best else []
    return [*lines, f"vaeforge report {shlex.quote(record.name)}"]


def without_unset(command: str) -> str:
    """A command without the options whose value is empty, which `mlflow run` passes for all that are not set."""
    words: list[str] = []
    for word in shlex.split(command):
        if word:
            words.append(word)
        elif words and words[-1].startswith("--"):
            words.pop()
    return shlex.join(words)
