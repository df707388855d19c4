"""Checkout of a model's code and data in a folder of their own; the user's tree, index and branches are not touched."""

import os
import shutil
import subprocess
from pathlib import Path

import vaeforge_models
from vaeforge.data.data_hash import data_identity, list_files
from vaeforge.data.data_sets import folder_of
from vaeforge.dvc_command import reason_of, run_dvc
from vaeforge.errors import DataError, RegistryError, VaeforgeError
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import PACKAGE, Project
from vaeforge.provenance import CHECKOUT, checkout_code_hash, code_hash, git_environment

SECONDS = 600.0  # for git, and for DVC where it copies from its cache
NO_HOOKS = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")


def check_out(root: Path, folder: Path, commit: str, patch: bytes | None) -> None:
    """A clone of the repository at `root` in `folder` at `commit`, with `patch` applied.

    It borrows the objects of `root` and copies none, so that commits on no branch are found too.

    Raises:
        RegistryError: if git refuses.
    """
    _git(folder.parent, "clone", "--quiet", "--shared", "--no-checkout", "--template=", str(root), str(folder))
    _git(folder, *NO_HOOKS, "checkout", "--quiet", "--detach", commit)
    if patch:
        _git(folder, "apply", "--whitespace=nowarn", "-", given=patch)


def code_environment(folder: Path, expected: str) -> tuple[dict[str, str], str]:
    """The environment in which `python -m vaeforge` is the code with the hash `expected`, and whose code that is.

    That of the checkout in `folder` where it holds vaeforge; else the code that runs now, if it is the same.

    Raises:
        RegistryError: if neither is.
    """
    found, own = checkout_code_hash(folder), code_hash()
    if found == expected:
        return _environment([folder / place for place in CHECKOUT.values()]), "the commit's own code"
    if own == expected:
        held = "does not hold vaeforge" if found is None else f"holds other code ({found[:12]})"
        packages = [PACKAGE, Path(str(vaeforge_models.__file__)).parent]
        return _environment(packages), f"vaeforge as it runs now: the commit {held}, and this is the recorded code"
    raise RegistryError(
        f"code: {expected[:12]} is recorded, but the commit holds {(found or 'no vaeforge')[:12]} and what runs now is "
        f"{own[:12]}; files that git did not track may have taken part, or install the vaeforge that made the model"
    )


def bring_data(project: Project, folder: Path, manifest: TrainedModelManifest) -> str:
    """Put the family's data as they were into the checkout in `folder`; says in words where they come from.

    Raises:
        DataError: saying what was tried.
    """
    there = Project(folder).data(manifest.family)
    if _are(there, manifest):
        return "data: the commit holds them itself"
    told, tried = _by_dvc(project, folder, there, manifest.lineage.data_hash)
    if told is not None and _are(there, manifest):
        return told
    if told is not None:
        tried = "what DVC has under the recorded hash has another data identity"
    here = project.data(manifest.family)
    if _are(here, manifest):
        _link(here, there)
        return f"data: linked from {here}, which has the recorded identity ({tried})"
    raise DataError(
        f"{here}: has not the data identity {manifest.lineage.data_identity}, and DVC could not help: {tried}; bring "
        "these data back, or run `dvc fetch` where they are"
    )


def _by_dvc(project: Project, folder: Path, there: Path, data_hash: str | None) -> tuple[str | None, str]:
    """Have DVC put the data at `there`: what it did, or none and why it did not."""
    if data_hash is None:
        return None, "the data were not what DVC tracks"
    if not (folder / ".dvc").is_dir() or not (folder / "data.dvc").is_file():
        return None, "the commit is no DVC repository with a data.dvc"
    _point_at_cache(project.root, folder)
    place, problems = there.relative_to(folder).as_posix(), []
    for command, told in (("checkout", "checked out from DVC's cache"), ("pull", "pulled from DVC's remote")):
        done = run_dvc(folder, command, "--quiet", place)
        if done.returncode == 0 and there.is_dir():
            return f"data: {told}", ""
        problems.append(f"dvc {command}: {reason_of(done, 300) or 'left nothing'}")
    return None, "; ".join(problems)


def _point_at_cache(root: Path, folder: Path) -> None:
    """The clone takes files from the cache of the project at `root`, and its own access to remotes."""
    if not (root / ".dvc").is_dir():
        return
    local = root / ".dvc" / "config.local"
    if local.is_file():
        shutil.copy(local, folder / ".dvc" / "config.local")
    cache = run_dvc(root, "cache", "dir").stdout.strip() or str(root / ".dvc" / "cache")
    run_dvc(folder, "config", "--local", "cache.dir", str((root / cache).resolve()))


def _are(folder: Path, manifest: TrainedModelManifest) -> bool:
    """Whether the files in `folder` have the data identity that the model was trained on."""
    try:
        listing = list_files(folder, folder_of(manifest.lineage.data_set))
        return data_identity(listing, manifest.experiment.prepare) == manifest.lineage.data_identity
    except VaeforgeError:  # no files
        return False


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() or target.is_file():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source, target_is_directory=True)


def _environment(sources: list[Path]) -> dict[str, str]:
    """This environment without what leads to stores and clusters, importing from the parents of packages first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MLFLOW_", "RAY_"))}
    parents = dict.fromkeys(str(source.parent.resolve()) for source in sources)
    return kept | {"PYTHONPATH": os.pathsep.join(parents), "PYTHONUNBUFFERED": "1"}


def _git(folder: Path, *arguments: str, given: bytes | None = None) -> None:
    command = ["git", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env=git_environment(folder), input=given, capture_output=True, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryError(f"{folder}: git could not be run ({error})") from error
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())[-500:]
        raise RegistryError(f"{folder}: `git {arguments[-1]}` failed ({reason})")
