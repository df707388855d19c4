"""Fetching a model by its name: from a registry's version or a folder to a bundle on this machine.

What comes from a registry is not trusted until it has been looked at: only ONNX models, only files of known kinds, the
main graph and all files beside it as tags of the version say, and nothing that was archived. It is looked at each time:
a threshold that somebody changed in a folder at hand would flag nothing any more.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from vaeforge.config.strict_yaml import read_yaml
from vaeforge.errors import ConfigError, RegistryError, nearest
from vaeforge.package.bundle import EXTRA, HASHES, MAIN, Bundle
from vaeforge.paths import Project, read_json, sha256_of
from vaeforge.registry.mlflow_calls import store_errors, tracking_at
from vaeforge.registry.tags import FILES, GRAPH
from vaeforge.registry.versions import CHAMPION, aliases_of, model_named, models, registered_model, version_named
from vaeforge.track.open_reader import open_reader
from vaeforge.track.store import locked
from vaeforge.track.store_reader import StoredVersion, StoreReader

ARCHIVED = "vaeforge.archived"
FLAVOURS = {"onnx", "python_function"}
SUFFIXES = {".onnx", ".json", ".npz", ".csv", ".png", ".md", ".txt", ".yaml", ".yml", ".patch", ""}
BARE = ("MLmodel", "registered_model_meta")  # MLflow's own
_SHORT = re.compile(r"[^/:@.]+")  # what can be the name of a model, a family or a data set
_REFERENCE = re.compile(r"models:/(?P<model>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class Fetched:
    """A model that is at hand.

    Attributes:
        bundle: its files.
        model, version: in the registry; none for a folder.
    """

    bundle: Bundle
    model: str | None = None
    version: str | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.model} version {self.version}" if self.model else str(self.bundle.folder)


def fetch(reference: str, project: Project, tracking_uri: str) -> Fetched:
    """The model called `reference`: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a folder that `export` wrote.

    A registered model, its family or its data set alone means its champion, as in `vaeforge models show`.

    Versions are kept in `artifacts/models` and verified each time; one that is named by its folder there is compared
    with its own list of hashes.

    Raises:
        ConfigError: if it is neither.
        RegistryError: if there is no such version, it is archived, or its files are not what they must be.
        TrackingError: if the store cannot be used.
    """
    reference = full_reference(reference, tracking_uri)
    if not reference.startswith("models:"):
        folder = _folder(reference)
        if (folder / EXTRA / HASHES).is_file():  # a version that was downloaded, named by its place
            _require_listed(folder / EXTRA)
        return Fetched(Bundle(folder))
    reader = open_reader(tracking_uri)
    version = resolve(reader, reference)
    return Fetched(bundle_of(reader, version, project), version.name, version.version)


def full_reference(given: str, tracking_uri: str) -> str:
    """`given` as a reference where it is the short name of a registered model, which means its champion, else as it is.

    Raises:
        RegistryError: if it is neither in this registry nor a path, naming the models, or the model has no champion.
    """
    if Path(given).exists() or not _SHORT.fullmatch(given):
        return given
    reader = open_reader(tracking_uri)
    with store_errors(reader.tracking_uri, f"{given}: cannot be found"):
        if not models(reader):
            return given
        model = model_named(reader, given)
        if CHAMPION in aliases_of(reader, model):
            return f"models:/{model}@{CHAMPION}"
    raise RegistryError(
        f"model: {given!r} is {model}, which has no champion; name a version: models:/{model}/VERSION "
        f"(`vaeforge models list {given}` shows them)"
    )


def resolve(reader: StoreReader, reference: str) -> StoredVersion:
    """The version that `reference` names.

    Raises:
        ConfigError: if it is no reference.
        RegistryError: if there is no such version.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise ConfigError(f"model: got {reference!r}, must be models:/NAME@ALIAS, models:/NAME/VERSION or a folder")
    with store_errors(reader.tracking_uri, f"{reference}: cannot be found"):
        model = registered_model(reader, found["model"])
        if not found["alias"]:
            return version_named(reader, model.name, found["version"])
        if found["alias"] not in model.aliases:
            known = ", ".join(sorted(model.aliases)) or "none yet, `vaeforge models promote` gives the first"
            near = nearest(found["alias"], model.aliases)
            raise RegistryError(f"{reference}: got the alias {found['alias']!r}, must be one of: {known}{near}")
        return version_named(reader, model.name, model.aliases[found["alias"]])


def bundle_of(reader: StoreReader, version: StoredVersion, project: Project) -> Bundle:
    """The files of `version`, downloaded where they are not at hand yet, and verified.

    Raises:
        RegistryError: if it is archived, is no ONNX model, brings files of other kinds, or was altered.
    """
    if version.tags.get(ARCHIVED) == "true":
        raise RegistryError(f"{version.name} version {version.version}: is archived, and archived models are not used")
    folder = project.artifacts / "models" / version.name / version.version
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():  # nobody else has fetched it meanwhile
                _download(reader, version, folder)
    _require_graph(folder, version)
    _require_files(folder / EXTRA, version)
    return Bundle(folder)


def _folder(reference: str) -> Path:
    folder = Path(reference)
    if not folder.is_dir():
        uris = "models:/NAME@ALIAS, models:/NAME/VERSION"
        raise ConfigError(f"model: {reference!r} is neither a model URI ({uris}) nor a folder")
    return folder


def _download(reader: StoreReader, version: StoredVersion, folder: Path) -> None:
    staging = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    if version.folder_here is not None:
        shutil.copytree(version.folder_here, staging, symlinks=True)  # links are refused below, not followed
    else:
        staging.mkdir(parents=True)
        _download_by_mlflow(reader.tracking_uri, version.uri, staging)
    _require_known(staging, version.uri)
    staging.rename(folder)


def _download_by_mlflow(tracking_uri: str, uri: str, folder: Path) -> None:
    import mlflow

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one bar a file is no progress
    with tracking_at(tracking_uri), store_errors(tracking_uri, f"{uri}: cannot be downloaded"):
        mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))


def _require_known(folder: Path, uri: str) -> None:
    """Only the flavour and the kinds of files that registering writes."""
    description = read_yaml(folder / "MLmodel")
    flavours = set(description.get("flavors", {}))
    if not flavours or not flavours <= FLAVOURS:
        raise RegistryError(f"{uri}: has the flavours {', '.join(sorted(flavours)) or 'none'}, must be onnx; not used")
    strange = [path for path in folder.rglob("*") if path.is_symlink() or (path.is_file() and not _known(path))]
    if strange:
        raise RegistryError(f"{uri}: holds {strange[0].name!r}, which no model of ours has; not used")


def _known(path: Path) -> bool:
    return path.suffix in SUFFIXES and (path.suffix != "" or path.name in BARE)


def _require_graph(folder: Path, version: StoredVersion) -> None:
    expected = version.tags.get(GRAPH)
    found = sha256_of(folder / f"{MAIN}.onnx")
    if found != expected:
        raise _altered(folder, f"SHA-256 of its graph is {found}, but the version's tag {GRAPH} says {expected}")


def _require_files(folder: Path, version: StoredVersion) -> None:
    """Beside the graph there are the files that the version's list of hashes names, unaltered, and no others.

    Versions that were registered before there were such lists have neither list nor tag: of them the graph alone is
    known, and `trace` says so. Where there is a list, its tag was taken away.
    """
    expected, listed = version.tags.get(FILES), folder / HASHES
    if expected is None and not listed.is_file():
        return
    found = sha256_of(listed) if listed.is_file() else "missing"
    if found != expected:
        raise _altered(folder.parent, f"SHA-256 of {HASHES} is {found}, but the version's tag {FILES} says {expected}")
    _require_listed(folder)


def _require_listed(folder: Path) -> None:
    """The files in `folder` are those of its list of hashes, unaltered."""
    listed = folder / HASHES
    digests = read_json(listed, "download it again")
    here = {path.name: sha256_of(path) for path in folder.iterdir() if path.is_file() and path != listed}
    for name in sorted({*digests, *here}):
        if here.get(name) != digests.get(name):
            told = digests.get(name, "that there is no such file")
            raise _altered(folder.parent, f"SHA-256 of {name} is {here.get(name, 'missing')}, but {HASHES} says {told}")


def _altered(folder: Path, what: str) -> RegistryError:
    remedy = "remove the folder to download it again, and if it stays, do not use the model"
    return RegistryError(f"{folder}: {what}; {remedy}")
