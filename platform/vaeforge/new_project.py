"""New project folder for data of one's own: settings, spaces, the files of DVC and MLflow; nothing of the samples."""

import re
import shutil
import subprocess
from pathlib import Path

from vaeforge.config.tree import SECTIONS
from vaeforge.dvc_command import reason_of, run_dvc
from vaeforge.errors import DataError, ResourceError
from vaeforge.paths import PACKAGE
from vaeforge_models.families import families

SPACES, STEPS = "tune_spaces", "dvc.yaml"
# an installed package carries what lies beside the code in a clone
SHIPPED = PACKAGE / "project_files" if (PACKAGE / "project_files").is_dir() else PACKAGE.parents[1]
FROM_A_CLONE = "PYTHONPATH=platform:models "
IGNORED = ("/data", "/artifacts/", "/mlruns/", "/mlartifacts/", "/mlflow.db*", "__pycache__/")
PARAMS = """\
# The settings that DVC tracks. Sections of a family hold for that family only; what is not here has its default from
# the family and its preset. `--set section.key=value` overrides one for a single run.
family: {family}
preset: sample
search: {{trials: 16, workers: 1, seed: 0}}
"""


def create(root: Path, family: str, door: str) -> list[str]:
    """Make `root` a project: what there is to say of each thing that was left out.

    Git and DVC are set up where they are not yet, and `.gitignore` is added to; without git a model cannot be traced to
    its settings.

    Args:
        root: the folder, which may be there but holds nothing of a project.
        family: what `params.yaml` names.
        door: the content of `MLproject`.

    Raises:
        DataError: if the folder holds files of a project already.
        ResourceError: if DVC cannot be set up.
    """
    texts = _texts(family, door)
    if root.exists() and not root.is_dir():
        raise DataError(f"init: {root} is a file; name a folder")
    there = [name for name in (*texts, SPACES, "data.dvc") if (root / name).exists()]
    there += ["data/ with files in it"] if (root / "data").is_dir() and any((root / "data").iterdir()) else []
    if there:
        raise DataError(f"init: {root} has {', '.join(there)} already; name another folder, or remove what is there")
    root.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    shutil.copytree(SHIPPED / SPACES, root / SPACES, ignore=shutil.ignore_patterns("*.md"))
    (root / "data").mkdir(exist_ok=True)
    _ignore(root / ".gitignore")
    notes, under_git = _set_up_git(root)
    _set_up_dvc(root, under_git)
    return notes


def _texts(family: str, door: str) -> dict[str, str]:
    """The files of a project, by name."""
    sections = "".join(
        f"{name}:\n" + "".join(f"  {section}: {{}}\n" for section in SECTIONS) for name in sorted(families())
    )
    return {
        "params.yaml": PARAMS.format(family=family) + sections,
        STEPS: _without_code((SHIPPED / STEPS).read_text(encoding="utf-8")),
        "MLproject": door,
    }


def _ignore(path: Path) -> None:
    """Have git ignore what steps write, beside what it ignores already."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in IGNORED if line not in before.splitlines()]
    gap = "\n" if before and not before.endswith("\n") else ""
    path.write_text(before + gap + "".join(f"{line}\n" for line in missing), encoding="utf-8")


def _without_code(steps: str) -> str:
    """The stages of a clone, for a project that does not hold the code: it is no dependency there."""
    kept = [line for line in steps.splitlines() if not re.match(r"\s+- (platform|models)/", line)]
    return "\n".join(kept).replace(FROM_A_CLONE, "") + "\n"


def _set_up_git(root: Path) -> tuple[list[str], bool]:
    """Notes, and whether the folder is under git."""
    if shutil.which("git") is None:
        return ["git is not installed: no model of this project can be traced to its settings; later `git init`"], False
    inside = subprocess.run(["git", "rev-parse", "--is-inside-work-tree"], cwd=root, capture_output=True, check=False)
    if inside.returncode == 0:
        return [], True
    done = subprocess.run(["git", "init", "--quiet"], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"`git init` failed ({' '.join(done.stderr.split())}): mend that and call it again"], False
    return [], True


def _set_up_dvc(root: Path, under_git: bool) -> None:
    kind = [] if under_git and (root / ".git").exists() else ["--subdir"] if under_git else ["--no-scm"]
    begin = [] if (root / ".dvc").is_dir() else [["init", "--quiet", *kind]]
    for command in (*begin, ["config", "core.analytics", "false"], ["add", "--quiet", "data"]):
        done = run_dvc(root, *command)
        if done.returncode:
            said = reason_of(done, 300)
            raise ResourceError(
                f"init: `dvc {' '.join(command)}` failed in {root} ({said}); the folder is not complete"
            )
