"""Where a result comes from: the commit and what differed from it, the code itself, the packages, the machine.

All of this is recorded as it is, null where it cannot be known, and never stops a search.
"""

import hashlib
import io
import os
import platform
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vaeforge
import vaeforge_models
from vaeforge.paths import sha256_of

GIT_SECONDS = 10
LOCK = "requirements.lock"
PATCH = "code.patch"
PATCH_BYTES = 4 * 2**20
# the user's settings must not change what a patch looks like, or whether git can apply it again
DIFF = (
    "diff",
    "HEAD",
    "--binary",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
CHECKOUT = {"vaeforge": "platform/vaeforge", "vaeforge_models": "models/vaeforge_models"}
PROCESSORS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Origin:
    """What made a result.

    Attributes:
        record: `git` (see `git_state`, and of a dirty tree `diff_sha256` and `patch`, the file that holds it),
            `lock_sha256` and `machine`.
        patch: what differed from the commit, for `git apply`; none where nothing did, or it is over PATCH_BYTES.
    """

    record: dict[str, Any]
    patch: bytes | None


def origin(root: Path) -> Origin:
    """What a search that starts now in the project at `root` is made by."""
    state, patch = git_state(root), None
    changes = git(root, *DIFF) if state["dirty"] else None
    state |= {"diff_sha256": None, "patch": None}
    if changes is not None:
        state["diff_sha256"] = hashlib.sha256(changes).hexdigest()
        patch = changes if len(changes) <= PATCH_BYTES else None
        state["patch"] = PATCH if patch is not None else None
    return Origin({"git": state, "lock_sha256": lock_hash(root), "machine": machine()}, patch)


def git_state(root: Path) -> dict[str, Any]:
    """`{"commit": id, "dirty": whether tracked files differ}`, each none where git cannot say."""
    commit = git(root, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    changes = git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit.decode().strip(), "dirty": None if changes is None else bool(changes.strip())}


def git(root: Path, *arguments: str) -> bytes | None:
    """What git prints in `root`; none without git, without a repository, if it refuses or takes too long."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=git_environment(root),
            capture_output=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def git_environment(root: Path) -> dict[str, str]:
    """The environment in which git says something about `root` and nothing else."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # a repository that the project merely lies in says nothing about it; and no lock is taken for a look
    return environment | {"GIT_CEILING_DIRECTORIES": str(root.resolve().parent), "GIT_OPTIONAL_LOCKS": "0"}


def lock_hash(root: Path) -> str | None:
    """SHA-256 of the project's list of pinned packages; none where it has none."""
    path = root / LOCK
    return sha256_of(path) if path.is_file() else None


def machine() -> dict[str, Any]:
    """What decides whether two trainings can agree to the last bit: the processor and the libraries that compute.

    `capability` is the instruction set that torch chose; `cores` are logical ones; `gpu` is none where torch sees none.
    """
    import numpy
    import torch

    return {
        "cpu": _processor(),
        "architecture": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    """The processor's model name, as the system tells it."""
    try:
        lines = PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not a Linux
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def code_hash() -> str:
    """SHA-256 over the relative paths and contents of the Python files of vaeforge and vaeforge_models in use."""
    return _hash_of({package.__name__: Path(str(package.__file__)).parent for package in (vaeforge, vaeforge_models)})


def checkout_code_hash(root: Path) -> str | None:
    """The same of the code in a checkout of vaeforge's repository at `root`; none where it holds no such code."""
    folders = {name: root / place for name, place in CHECKOUT.items()}
    return _hash_of(folders) if all(folder.is_dir() for folder in folders.values()) else None


def commit_code_hash(root: Path, commit: str) -> str | None:
    """The same of the code that a commit of the repository at `root` holds; none where git has no such code."""
    archive = git(root, "archive", "--format=tar", commit, *CHECKOUT.values())
    if archive is None:
        return None
    with tempfile.TemporaryDirectory(prefix="vaeforge-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        return checkout_code_hash(Path(folder))


def _hash_of(folders: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, folder in folders.items():
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def command_line() -> str:
    """The command that runs, as a shell would read it."""
    name = Path(sys.argv[0]).name
    return shlex.join(["vaeforge" if name == "__main__.py" else name, *sys.argv[1:]])
