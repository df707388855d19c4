"""The prepare step: `data/<family>` pulled where it is absent, read, split, written as arrays, the manifest last."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.experiment import Experiment
from vaeforge.data.data_hash import Listing, data_identity, dvc_hash
from vaeforge.data.data_sets import DataSetName, UsedData, data_sets_in, refused_import, used_data
from vaeforge.data.grey_levels import WHITE
from vaeforge.data.image_statistics import write_statistics
from vaeforge.data.label_values import ONLY_NORMAL
from vaeforge.data.large_arrays import give_back, rows_at_once
from vaeforge.data.pca_spectrum import spectrum_of
from vaeforge.data.prepared import (
    CONSTANTS,
    MANIFEST,
    MASKS,
    Prepared,
    PreparedArray,
    PreparedManifest,
    load_prepared,
    read_prepared_manifest,
    write_prepared_manifest,
)
from vaeforge.data.prepared_places import adopt_earlier, filled, locked, show
from vaeforge.data.readers import read_source
from vaeforge.data.source_files import ALL, READ
from vaeforge.dvc_command import reason_of, run_dvc
from vaeforge.errors import DataError
from vaeforge.paths import Project, hash_of, write_atomically
from vaeforge.progress import Part, part
from vaeforge.provenance import git_state
from vaeforge.samples import DataSet


def ensure_prepared(project: Project, experiment: Experiment, data_set: str | None = None) -> Prepared:
    """The prepared data of an experiment, pulled and prepared first where they are absent or stale.

    Args:
        project: whose data.
        experiment: of the family, with the settings of its section `prepare`.
        data_set: which data set of the family; none: the one in use, see `data_sets.used_data`.

    Raises:
        DataError: if the data cannot be pulled, or a prepared file of these very data was altered.
    """
    pull(project, experiment.family)
    adopt_earlier(project, experiment.family)
    return _shown(project, experiment, used_data(project, experiment.family, data_set), again=False)


def pull(project: Project, family: str) -> str:
    """Bring `data/<family>` from the DVC remote where it is absent; what is to be said of that, empty for nothing.

    Raises:
        DataError: if it cannot be had, or data of one's own were meant: the folder was emptied, or an import refused.
    """
    folder, refused = project.data(family), refused_import(project, family)
    if folder.is_dir() and any(folder.iterdir()):
        samples = [one for one in data_sets_in(folder) if one.sample]
        return "" if not samples or refused is None else f"{_refused(refused)}; the sample is used"
    if refused is not None:
        raise DataError(
            f"{folder}: holds no data, and {_refused(refused)}; import your data, or bring the sample back "
            f"with `vaeforge data use sample --family {family}`"
        )
    if folder.is_dir():
        raise DataError(
            f"{folder}: is empty; put your data there with `vaeforge import`, or bring back what data.dvc lists with "
            f"`dvc pull data/{family}`"
        )
    _pull(project, folder)
    brought = ", ".join(str(one) for one in data_sets_in(folder)) or "data"
    return f"{folder} was not there: brought {brought} from DVC, as data.dvc lists it"


def _refused(source: str) -> str:
    return f"the last import into it ({source}) was refused"


def _pull(project: Project, folder: Path) -> None:
    missing = f"{folder}: not there"
    if not (project.root / "data.dvc").is_file():
        raise DataError(f"{missing}, and {project.root} has no data.dvc; put yours there (see docs/data.md)")
    if not (project.root / ".dvc").is_dir():
        raise DataError(
            f"{missing}; data.dvc lists it, but {project.root} is no DVC repository (it has no .dvc), perhaps an "
            "exported copy; clone the repository and run `dvc pull`, or copy the folder data from where it is"
        )
    done = run_dvc(project.root, "pull", str(folder.relative_to(project.root)))
    if not done.returncode and not folder.is_dir():
        raise DataError(f"{missing}, and data.dvc lists none of it; give your data to `vaeforge import`")
    if done.returncode:
        reason = reason_of(done) or f"exit code {done.returncode}"
        raise DataError(f"{missing} and could not be pulled ({reason}); run `dvc pull`")


def prepare(project: Project, experiment: Experiment, data_set: str | None = None) -> Prepared:
    """Cut and split the family's data, or a data set of it, and write the arrays, also where they are there already.

    Raises:
        DataError: naming the split or class that is empty, or the pictures that occur twice.
    """
    with suppress(DataError):  # where what is there is damaged, it is made anew
        adopt_earlier(project, experiment.family)
    return _shown(project, experiment, used_data(project, experiment.family, data_set), again=True)


def _shown(project: Project, experiment: Experiment, used: UsedData, again: bool) -> Prepared:
    """The prepared data of `used`, made where they are not there, or `again`; linked into the family's folder."""
    listing = used.listing()
    place = project.prepared_identity(experiment.family, data_identity(listing, experiment.prepare))
    if again or not _holds(place, used):
        with locked(place):
            if again or not _holds(place, used):  # no other process made them meanwhile
                with filled(place) as folder, part("preparing", ALL) as under_way:
                    _write(project, folder, experiment, used, listing, under_way)
    prepared = load_prepared(place)
    show(project, experiment.family, place)
    return prepared


def _holds(place: Path, used: UsedData) -> bool:
    return (place / MANIFEST).exists() and read_prepared_manifest(place).data_set == used.name


def _write(
    project: Project, folder: Path, experiment: Experiment, used: UsedData, listing: Listing, under_way: Part
) -> None:
    data = read_source(used.folder, experiment)
    under_way.reach(READ)
    with part("writing arrays", span=1):
        arrays = write_data_set(folder, data)
    write_statistics(folder, data.images)
    with part("principal components", span=1):
        spectrum = spectrum_of(data, experiment)
    configuration = experiment.prepare.model_dump(mode="json")
    manifest = PreparedManifest(
        family=experiment.family,
        data_identity=data_identity(listing, experiment.prepare),
        data_hash=dvc_hash(project.root, experiment.family, listing, used.within),
        data_source=str(used.folder.relative_to(project.root)),
        git=git_state(project.root),
        configuration=configuration,
        configuration_hash=hash_of(configuration),
        event_shape=tuple(data.validation.stored.shape[1:]),
        condition_dim=data.validation.condition.shape[1],
        arrays=arrays,
        counts={**data.counts, "quarantined": len(data.quarantined)},
        info=data.info,
        quarantined=data.quarantined,
        spectrum=spectrum,
        data_set=used.name,
    )
    write_prepared_manifest(folder, manifest)


def prepared_summary(
    event_shape: tuple[int, ...], counts: Mapping[str, int], data_set: DataSetName | None = None, fine: bool = False
) -> str:
    """What prepare made, in one sentence: `Prepared kvasir at 96 x 96: 260 train, 80 validation, 60 + 60 test (…)`.

    `fine` is whether samples hold 16 bits, which is said.
    """
    size = " x ".join(map(str, event_shape[1:] if len(event_shape) == 3 else event_shape))
    if "test" in counts:
        test = f"{counts['test']} test"
    elif counts["test_anomalous"]:
        test = f"{counts['test_normal']} + {counts['test_anomalous']} test (normal + anomalous)"
    else:
        test = f"{counts['test_normal']} test, all normal ({ONLY_NORMAL})"
    skipped = counts["quarantined"]
    left_out = "no file skipped" if not skipped else f"{skipped} skipped, see `quarantined` in manifest.json"
    what = "" if data_set is None else f"{data_set} "
    where = f"{size} in 16 bits" if fine else size
    return f"Prepared {what}at {where}: {counts['train']} train, {counts['validation']} validation, {test}; {left_out}"


def bits_remark(manifest: PreparedManifest) -> str:
    """That pictures of more than 8 bits became samples of 8 although nobody asked for it; empty where it is not so."""
    reading = manifest.info.get("pictures", {})
    asked = "depth" in reading or "depth" in manifest.configuration
    if asked or not reading.get("white") or reading["white"] - reading["black"] <= WHITE:
        return ""
    return (
        f"samples keep 8 bits of pictures whose white is {reading['white']:g}; `--set prepare.depth=16` keeps all, or "
        "`vaeforge import` without --depth 8 (depth=8: this is not said again)"
    )


def write_data_set(folder: Path, data: DataSet) -> dict[str, PreparedArray]:
    """Write the arrays of `data`; what the manifest says of them, by file name."""
    groups = {name: number for number, name in enumerate(sorted(set(data.groups)))}
    arrays: dict[str, NDArray[Any]] = {
        "test_labels": data.labels,
        "test_groups": np.array([groups[name] for name in data.groups], dtype=np.int64),
    }
    if data.masks is not None:
        arrays[MASKS] = data.masks
    for name, samples in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        arrays |= {name: samples.stored, f"{name}_condition": samples.condition.astype(np.float32)}
    written = {f"{name}.npy": _write_array(folder / f"{name}.npy", array) for name, array in arrays.items()}
    constants: dict[str, Any] = {name: array.astype(np.float32) for name, array in sorted(data.constants.items())}
    digest = write_atomically(folder / CONSTANTS, lambda file: np.savez(file, **constants))
    shapes = {name: tuple(array.shape) for name, array in constants.items()}
    return written | {CONSTANTS: PreparedArray(digest, shapes)}


class _Stream:
    """A file as NumPy writes to a stream: into a file it writes by C, whose error on a full disk has no number."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def write(self, content: bytes) -> int:
        return self._file.write(content)


def _write_array(path: Path, array: NDArray[Any]) -> PreparedArray:
    """Write an array as `np.save` does; of a mapped one, a block of rows at a time is in memory."""

    def write(file: BinaryIO) -> None:
        if not array.flags.c_contiguous or not array.ndim:
            np.save(_Stream(file), array, allow_pickle=False)
            return
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        step = rows_at_once(array)
        for start in range(0, len(array), step):
            file.write(array[start : start + step].tobytes())
            give_back(array)

    return PreparedArray(write_atomically(path, write), tuple(array.shape))
