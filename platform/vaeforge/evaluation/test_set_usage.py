"""Test-set usage: how often models were measured on a test set, each time making its numbers less of a surprise."""

import json
from datetime import UTC, datetime
from pathlib import Path

from vaeforge.errors import DataError
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import Project, append_whole

FILE = "test_looks.jsonl"


def record_look(project: Project, lineage: Lineage) -> None:
    """Note that the checkpoint of a model has been measured on the test set of its data identity.

    A checkpoint counts once, however often it is evaluated. The line is on disk when this returns.
    """
    identity, checkpoint = lineage.data_identity, lineage.checkpoint.sha256
    if checkpoint in looks(project, identity):
        return
    when = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"data_identity": identity, "checkpoint": checkpoint, "family": lineage.family, "when": when}
    path = _path(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        append_whole(file, (json.dumps(line, sort_keys=True) + "\n").encode())


def looks(project: Project, data_identity: str) -> list[str]:
    """The checkpoints (SHA-256) measured on the test set of a data identity, each once, in order.

    Raises:
        DataError: if a line is not one of ours.
    """
    path = _path(project)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    entries = [_entry(path, number, line) for number, line in enumerate(lines, 1)]
    return list(dict.fromkeys(checkpoint for identity, checkpoint in entries if identity == data_identity))


def _entry(path: Path, number: int, line: str) -> tuple[str, str]:
    try:
        content = json.loads(line)
        return str(content["data_identity"]), str(content["checkpoint"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}, line {number}: is no look at a test set ({error!r}); remove that line") from error


def _path(project: Project) -> Path:
    return project.artifacts / FILE
