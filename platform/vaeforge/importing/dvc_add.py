"""Adding of a new data set to DVC."""

from pathlib import Path

from vaeforge.dvc_command import reason_of, run_dvc


def track(root: Path, *folders: Path) -> tuple[bool, str]:
    """Add data sets to data.dvc in `root`: whether that was done, and what there is to say of it.

    A folder that is not there is struck from data.dvc. DVC keeps the others as data.dvc lists them, also those that
    were never pulled here; adding all of `data` would strike those from the list.
    """
    places = [folder.relative_to(root).as_posix() for folder in folders]
    place = " ".join(places)
    if not (root / ".dvc").is_dir() or not (root / "data.dvc").is_file():
        missing = ".dvc" if not (root / ".dvc").is_dir() else "data.dvc"
        return False, f"left untracked: {root} has no {missing}; run `dvc init` if need be, then `dvc add data`"
    try:
        done = run_dvc(root, "add", *places)
    except OSError as error:
        return False, f"left untracked: dvc could not be started ({error}); run `dvc add {place}`"
    if done.returncode:
        reason = reason_of(done) or f"exit code {done.returncode}"
        return False, f"left untracked: `dvc add {place}` failed ({reason}); the data are in place, run it again"
    return True, "added to data.dvc; run `dvc push`, then `git add data.dvc` and commit"
