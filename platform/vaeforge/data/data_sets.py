"""Data sets of a family: which ones there are, which one is used, and how one's own are told from the shipped sample.

A data set is a folder directly in `data/<family>`: one that `vaeforge import` made, or the sample that comes with the
project, which is known by the hash of its files. Files put there by hand are used as a whole and have no name, unless
all of them lie in one folder of folders. One data set is used at a time: the one that `data_sets.yaml` names, else the
only one of one's own, else the sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vaeforge.config.strict_yaml import read_yaml
from vaeforge.data.data_hash import Listing, list_files
from vaeforge.data.source_files import linked_folders, require_no_linked_folders
from vaeforge.errors import DataError, nearest
from vaeforge.paths import Project, hash_of, read_json, write_bytes, write_json

IN_USE = "data_sets.yaml"
IMPORTED = ".import/import.json"
OWN_SETTINGS = "prepare"  # in it
ATTRIBUTION = "ATTRIBUTION.md"  # which every sample has
# the hash of the sorted [path, MD5] of the files of each sample: one that was changed is data of one's own
SAMPLES: Mapping[str, str] = {
    "endoscopy": "aca04eec9b2292c4b3cb194036d46177a314ca94359a2df09f3fc9b17c1a8c21",
    "lipid": "242c187821ef773ff37f216846f392f81cf404015863a4b086317fbedf2d07ae",
    "speckle": "546c977426e14d63cbe0894479dbd24c71bd57963acaae3f76db0b8158824195",
    "fmri": "6c70e9e14ccf8dfa0b4a73e098e072859dd0860c95abd22824238b7dc41b2532",
    "cilia": "7c3adea3cbccfcc95945e5d30f3430c3be751afb0acb319de15cdeb0b7b2679a",
}


@dataclass(frozen=True)
class DataSetName:
    """What a data set is called, and whether it is the sample that the project brings."""

    name: str
    sample: bool = False

    def __str__(self) -> str:
        return f"{self.name} (the sample)" if self.sample else self.name


def folder_of(data_set: DataSetName | None) -> str:
    """The folder of a data set in that of its family; empty for all of it."""
    return "" if data_set is None else data_set.name


@dataclass(frozen=True)
class UsedData:
    """The files of a family that are used.

    Attributes:
        family: the folder `data/<family>`.
        folder: what is read: `family`, or a data set in it that lies beside others.
        name: of the data set; none for files that were put there by hand.
        beside: other data sets, which are not used.
    """

    family: Path
    folder: Path
    name: DataSetName | None
    beside: tuple[DataSetName, ...] = ()

    def listing(self) -> Listing:
        """The sorted [path in `family`, MD5] of its files; see `list_files`.

        Raises:
            DataError: if there are none, or links to folders.
        """
        require_no_linked_folders(self.folder, linked_folders(self.folder))
        return list_files(self.family, self.within)

    @property
    def within(self) -> str:
        """The folder in `family` that holds them; empty for all of it."""
        return folder_of(self.name)

    def remark(self) -> str:
        """That there are others; empty where there are none."""
        if not self.beside:
            return ""
        others = ", ".join(map(str, self.beside))
        return f"{self.family} also holds {others}; {self.name} is used, `vaeforge data use NAME` chooses another one"


def data_sets_in(folder: Path) -> list[DataSetName]:
    """The data sets in `data/<family>`, sorted by name; files put there by hand are no named data set."""
    named, loose = _sorted_out(folder)
    return named + [DataSetName(path.name) for path in loose if not named and len(loose) == 1 and _of_folders(path)]


def holds_loose_files(folder: Path) -> bool:
    """Whether `data/<family>` holds files that belong to no named data set."""
    names = {one.name for one in data_sets_in(folder)}
    return any(path.name not in names for path in _visible(folder))


def used_data(project: Project, family: str, name: str | None = None) -> UsedData:
    """What is used of `data/<family>`: the data set `name`, where one is given.

    Raises:
        DataError: if that cannot be told, naming the data sets that there are and what to do.
    """
    folder = project.data(family)
    known = data_sets_in(folder) if folder.is_dir() else []
    wanted = name or in_use(project, family)
    if wanted is None and known and holds_loose_files(folder):
        drops = " or ".join(f"`vaeforge data drop {one.name} --family {family}`" for one in known)
        raise DataError(
            f"{folder}: holds {', '.join(map(str, known))} beside files that were put there by hand; only one data set "
            f"is used: {drops} removes one, or move your files away and give them to `vaeforge import`"
        )
    if not known and name is None:
        return UsedData(folder, folder, None)
    chosen = named(known, wanted, folder) if wanted is not None else _only(known, folder, family)
    beside = tuple(one for one in known if one != chosen)
    apart = bool(beside) or holds_loose_files(folder)
    return UsedData(folder, folder / chosen.name if apart else folder, chosen, beside)


def named(known: list[DataSetName], wanted: str, folder: Path) -> DataSetName:
    """The data set called `wanted`.

    Raises:
        DataError: if there is none, naming those that there are.
    """
    found = next((one for one in known if one.name == wanted), None)
    if found is None:
        names = [one.name for one in known]
        raise DataError(
            f"{folder}: has no data set {wanted!r}, must be one of {', '.join(names) or 'none, there is no data set'}"
            f"{nearest(wanted, names)}; `vaeforge data list` shows them, `vaeforge data use NAME` chooses one"
        )
    return found


def in_use(project: Project, family: str) -> str | None:
    """The data set that `data_sets.yaml` names for the family, if it names one."""
    path = project.root / IN_USE
    name = read_yaml(path).get(family) if path.is_file() else None
    return None if name is None else str(name)


def own_settings(project: Project, family: str) -> dict[str, Any]:
    """Settings of the section `prepare` that the data set in use was imported with; they stand above params.yaml's.

    Empty where there are none, and where nothing says yet which data set is used.
    """
    folder = project.data(family)
    if not folder.is_dir() or not any((path / IMPORTED).is_file() for path in _visible(folder)):
        return {}
    try:
        used = used_data(project, family)
    except DataError:  # whoever needs the data says so
        return {}
    record = folder / used.name.name / IMPORTED if used.name else folder / IMPORTED
    return dict(read_json(record, "import it again").get(OWN_SETTINGS, {})) if record.is_file() else {}


def set_in_use(project: Project, family: str, name: str | None) -> None:
    """Let `data_sets.yaml` name the family's data set; none: none any more."""
    path = project.root / IN_USE
    content = dict(read_yaml(path)) if path.is_file() else {}
    if content.get(family) == name:
        return
    content.pop(family, None)
    if name is not None:
        content[family] = name
    if not content:
        path.unlink()
        return
    told = "# Which data set each family uses; `vaeforge data use` writes it. Commit it with data.dvc.\n"
    write_bytes(path, (told + yaml.safe_dump(content, sort_keys=True, allow_unicode=True)).encode())


def is_sample(folder: Path) -> bool:
    """Whether the data set in `folder` is the sample of a family, unchanged."""
    if not (folder / ATTRIBUTION).is_file():
        return False
    return is_sample_listing(list_files(folder))


def is_sample_listing(listing: Listing) -> bool:
    """Whether [path, MD5] are the files of a sample, unchanged."""
    return hash_of(sorted(listing)) in SAMPLES.values()


def note_refused_import(project: Project, family: str, source: str, reason: str) -> None:
    """Keep that an import was refused, so that nobody takes the sample for the data that were meant."""
    write_json(_refusal(project, family), {"source": source, "reason": reason})


def forget_refused_import(project: Project, family: str) -> None:
    """The family has the data that are meant."""
    _refusal(project, family).unlink(missing_ok=True)


def refused_import(project: Project, family: str) -> str | None:
    """What was to be imported when the last import of the family was refused; none if it was not."""
    path = _refusal(project, family)
    if not path.is_file():
        return None
    return str(read_json(path, "remove it").get("source", "a source"))


def _refusal(project: Project, family: str) -> Path:
    return project.artifacts / f"import-refused-{family}.json"


def _only(known: list[DataSetName], folder: Path, family: str) -> DataSetName:
    own = [one for one in known if not one.sample]
    candidates = own or known
    if len(candidates) > 1:
        names = ", ".join(one.name for one in candidates)
        raise DataError(
            f"{folder}: holds {len(candidates)} data sets ({names}), and one is used at a time; "
            f"`vaeforge data use NAME --family {family}` chooses it, `vaeforge data drop NAME` removes one"
        )
    return candidates[0]


def _sorted_out(folder: Path) -> tuple[list[DataSetName], list[Path]]:
    """Imported data sets and samples, and whatever else lies in the folder."""
    known, loose = [], []
    for path in _visible(folder):
        if path.is_dir() and (path / IMPORTED).is_file():
            known.append(DataSetName(path.name))
        elif path.is_dir() and is_sample(path):
            known.append(DataSetName(path.name, sample=True))
        else:
            loose.append(path)
    return known, loose


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _of_folders(folder: Path) -> bool:
    """Whether a folder holds folders and no files."""
    inside = _visible(folder) if folder.is_dir() else []
    return bool(inside) and all(path.is_dir() for path in inside)
