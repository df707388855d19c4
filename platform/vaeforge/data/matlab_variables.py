"""Variables of MATLAB's files that may be series, whichever version wrote them."""

from collections.abc import Mapping
from pathlib import Path

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Load, Matrix

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
    numbers = {name: shape for name, (shape, kind) in variables.items() if kind in CLASSES and 0 not in shape}
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
