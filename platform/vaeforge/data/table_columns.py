"""Names of columns in tables of points that are no channels: coordinates, labels, numbers of rows."""

from typing import Any

AXES = ("x", "y", "z")
SECTION, DONOR = "section", "donor"
NOBODY = "none"  # the donor column of points that are nobody's
LABELS = (SECTION, "hemisphere", DONOR)
# how columns are called that say whose point it is
GROUPS = ("donor", "patient", "subject", "animal", "mouse", "participant", "individual", "specimen", "brain")
INDICES = ("__index_level_", "unnamed:")  # how columns of row numbers begin that tables are often saved with


def is_special(name: str) -> bool:
    """Whether a column is called as a coordinate or a label is, in whatever case."""
    return name.strip().lower() in (*AXES, *LABELS)


def numbers_rows(name: str) -> bool:
    """Whether a column is called as row numbers are that were saved with a table."""
    return name.strip().lower() in ("", "index") or name.strip().lower().startswith(INDICES)


def index_names(schema: Any) -> frozenset[str]:
    """The columns of an arrow schema that pandas has written as a table's index, whatever they are called."""
    noted = (schema.pandas_metadata or {}).get("index_columns", [])
    return frozenset(name for name in noted if isinstance(name, str))
