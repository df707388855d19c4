"""Provenance of a result: the commit and what differed from it, the code itself, the packages, the machine.

All of this is recorded as it is, null where it cannot be known, and never stops a search.
"""

import hashlib
import io
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import vaeforge_models
from vaeforge.paths import PACKAGE, sha256_of
from vaeforge.records import OPTIONAL

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
class GitState:
    """A repository's commit, and whether tracked files differed from it; each none where git could not say.

    Attributes:
        problem: what git says where there is a repository and it does not name its commit.
    """

    commit: str | None
    dirty: bool | None
    problem: str | None = field(default=None, metadata=OPTIONAL, kw_only=True)


@dataclass(frozen=True)
class PatchedGitState(GitState):
    """A repository's commit and what turns it into the files that were there.

    Attributes:
        diff_sha256: of what `git diff` prints; none if nothing differed, or if it was not recorded.
        patch: the name of the file that holds it; none where there is none, or it was too large to keep.
    """

    diff_sha256: str | None = None
    patch: str | None = None


@dataclass(frozen=True)
class Machine:
    """What decides whether two trainings can agree to the last bit: the processor and the libraries that compute.

    Attributes:
        cpu: the processor's model name.
        capability: the instruction set that torch chose.
        cores: logical ones.
        gpu: none where torch sees none.
    """

    cpu: str
    architecture: str
    capability: str
    cores: int | None
    python: str
    torch: str
    numpy: str
    gpu: str | None


@dataclass(frozen=True)
class Origin:
    """What made a result.

    Attributes:
        git: the project's commit and what differed from it.
        lock_sha256: of the project's list of pinned packages; none where it has none.
        machine: that made it.
        patch: what differed from the commit, for `git apply`; none where nothing did, or it is over PATCH_BYTES.
    """

    git: PatchedGitState
    lock_sha256: str | None
    machine: Machine
    patch: bytes | None


def origin(root: Path) -> Origin:
    """What a search that starts now in the project at `root` is made by."""
    state = git_state(root)
    changes = git(root, *DIFF) if state.dirty else None
    if changes is None:
        unpatched = PatchedGitState(state.commit, state.dirty, problem=state.problem)
        return Origin(unpatched, lock_hash(root), machine(), None)
    kept = len(changes) <= PATCH_BYTES
    digest = hashlib.sha256(changes).hexdigest()
    patched = PatchedGitState(state.commit, state.dirty, digest, PATCH if kept else None)
    return Origin(patched, lock_hash(root), machine(), changes if kept else None)


def git_state(root: Path) -> GitState:
    """The commit of the repository at `root`, and whether tracked files differ from it."""
    commit = git(root, "rev-parse", "HEAD")
    if commit is None:
        return GitState(None, None, problem=git_problem(root))
    changes = git(root, "status", "--porcelain", "--untracked-files=no")
    return GitState(commit.decode().strip(), None if changes is None else bool(changes.strip()))


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


def git_problem(root: Path) -> str | None:
    """Why git does not name the commit of the repository at `root`, in its words; none where there is no repository.

    It names none in a repository of another user, for instance (`git config --global --add safe.directory …`).
    """
    if not (root / ".git").exists():
        return None
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=root, env=git_environment(root), capture_output=True, text=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return " ".join(done.stderr.split()) or None


def git_environment(root: Path) -> dict[str, str]:
    """The environment in which git says something about `root` and nothing else."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # a repository that the project merely lies in says nothing about it; and no lock is taken for a look
    return environment | {"GIT_CEILING_DIRECTORIES": str(root.resolve().parent), "GIT_OPTIONAL_LOCKS": "0"}


def lock_hash(root: Path) -> str | None:
    """SHA-256 of the project's list of pinned packages; none where it has none."""
    path = root / LOCK
    return sha256_of(path) if path.is_file() else None


def machine() -> Machine:
    """The machine that this runs on."""
    import numpy
    import torch

    return Machine(
        cpu=_processor(),
        architecture=platform.machine(),
        capability=torch.backends.cpu.get_cpu_capability(),
        cores=os.cpu_count(),
        python=platform.python_version(),
        torch=str(torch.__version__),
        numpy=numpy.__version__,
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    )


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
    return _hash_of({"vaeforge": PACKAGE, "vaeforge_models": Path(str(vaeforge_models.__file__)).parent})


def checkout_code_hash(root: Path) -> str | None:
    """The same of the code in a checkout of vaeforge's repository at `root`; none where it holds no such code."""
    folders = {name: root / place for name, place in CHECKOUT.items()}
    return _hash_of(folders) if all(folder.is_dir() for folder in folders.values()) else None


def commit_code_hash(root: Path, commit: str) -> str | None:
    """The same of the code that a commit of the repository at `root` holds; none where git has no such code."""
    archive = git(root, "archive", "--format=zip", commit, *CHECKOUT.values())
    if archive is None:
        return None
    with tempfile.TemporaryDirectory(prefix="vaeforge-") as folder:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            packed.extractall(folder)
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
