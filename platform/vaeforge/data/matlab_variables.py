"""Variables of MATLAB's files that may be series or columns of points, whichever version wrote them."""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Load, Matrix
from vaeforge.data.source_files import listed
from vaeforge.data.table import Table, assembled

Shape = tuple[int, ...]
CLASSES = (
    *("double", "single", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
)


def usable_variables(path: Path, variables: Mapping[str, tuple[Shape, str]]) -> dict[str, Shape]:
    """The variables of numbers: matrices, where there is one, since scalars and vectors beside them describe it.

    Args:
        path: of the file.
        variables: shape, as MATLAB has it, and class of each.

    Raises:
        DamagedFileError: if there are none.
    """
    numbers = _numbers(variables)
    if not numbers:
        named = ", ".join(f"{name} ({kind})" for name, (_, kind) in variables.items()) or "nothing"
        raise DamagedFileError(
            path, f"holds no variable of numbers, only {named}; save matrices of timepoints x voxels, not in structs"
        )
    matrices = {name: shape for name, shape in numbers.items() if sum(side > 1 for side in shape) > 1}
    return matrices or numbers


def keyed(loads: Mapping[str, Load]) -> dict[str, Matrix]:
    """Series by their variables; one alone has no key: its variable says what it is, the file's name whose it is."""
    if len(loads) == 1:
        return {"": Matrix(next(iter(loads.values())))}
    return {name: Matrix(load) for name, load in loads.items()}


def _numbers(variables: Mapping[str, tuple[Shape, str]]) -> dict[str, Shape]:
    return {name: shape for name, (shape, kind) in variables.items() if kind in CLASSES and 0 not in shape}


def point_variables(variables: Mapping[str, tuple[Shape, str]]) -> tuple[dict[str, Shape], list[str]]:
    """Variables of numbers that have a row a point, and the names of the others.

    Points are as many as `x` has, else as the rows of `coordinates`, else as most vectors; a matrix alone is kept.
    """
    numbers = _numbers(variables)
    lengths = Counter(math.prod(shape) for shape in numbers.values() if is_vector(shape))
    told = numbers.get("coordinates", (0,))[0]
    if "x" in numbers:
        told = math.prod(numbers["x"])
    count = told or next((length for length, _ in lengths.most_common(1)), 0)
    kept = {
        name: shape
        for name, shape in numbers.items()
        if not count or (math.prod(shape) if is_vector(shape) else shape[0]) == count
    }
    return kept, sorted(set(variables) - set(kept))


def is_vector(shape: Shape) -> bool:
    """Whether at most one axis is longer than 1."""
    return sum(side > 1 for side in shape) <= 1


def table_of(path: Path, loads: Mapping[str, Load], left: list[str]) -> Table:
    """Points of a file's variables: vectors are columns, `coordinates` and `values` matrices.

    Raises:
        DamagedFileError: if there are no numbers.
        DataError: if variables do not fit together.
    """
    if not loads:
        raise DamagedFileError(
            path, "holds no variable of numbers; save x, y and z and a vector per channel, not in structs"
        )
    arrays = {name: load() for name, load in loads.items()}
    columns = {name: array.ravel() if is_vector(array.shape) else array for name, array in arrays.items()}
    notes = (f"variables {listed(left)} have no number for each point; left out",) if left else ()
    return Table(assembled(path, columns), notes=notes)
