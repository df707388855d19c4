"""Where a result comes from: the commit, the code itself, and the command."""

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import vaeforge
import vaeforge_models

GIT_SECONDS = 10


def git_state(root: Path) -> dict[str, Any]:
    """`{"commit": id, "dirty": whether tracked files differ}`, each none where git cannot say."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit.strip(), "dirty": None if changes is None else bool(changes.strip())}


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints in `root`; none without git, without a repository, or if it takes too long."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # a repository that the project merely lies in says nothing about it; and no lock is taken for a look
    environment |= {"GIT_CEILING_DIRECTORIES": str(root.resolve().parent), "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def code_hash() -> str:
    """SHA-256 over the relative paths and contents of the Python files of vaeforge and vaeforge_models in use."""
    digest = hashlib.sha256()
    for package in (vaeforge, vaeforge_models):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{package.__name__}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def command_line() -> str:
    """The command that runs, as a shell would read it."""
    name = Path(sys.argv[0]).name
    return shlex.join(["vaeforge" if name == "__main__.py" else name, *sys.argv[1:]])
