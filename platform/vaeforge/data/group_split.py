"""Division of grouped items: whole groups go to train, validation or test, or stay in the parts that the source has.

Shapes: N items, K classes.
"""

from collections.abc import Sequence

import numpy as np

from vaeforge.config.prepare import Prepare
from vaeforge.data.block_split import PARTS, TRAIN, VALIDATION, Index, divide, divide_by
from vaeforge.data.group_rules import Grouping
from vaeforge.errors import DataError


def divide_groups(items: Sequence[str], grouping: Grouping, sizes: Index, settings: Prepare) -> Index:
    """The part of each item, so that no group is in two and the parts' members fit the shares.

    Parts that the source has are kept; where it has no validation part, groups of its train part become one.

    Args:
        items: [N], their names.
        grouping: of these items.
        sizes: [N], how many samples an item is, or [N, K], how many of each class; see `block_split.divide`.
        settings: shares and seed.

    Returns:
        int64 [N] of `TRAIN`, `VALIDATION`, `TEST`.

    Raises:
        DataError: if there are too few groups for three parts.
    """
    names, members = np.unique([grouping.groups[item] for item in items], return_inverse=True)
    totals = np.zeros((len(names), *sizes.shape[1:]), dtype=np.int64)
    np.add.at(totals, members, sizes)
    if grouping.parts is None:
        _require(len(names), len(PARTS), "groups")
        return divide(totals, settings.validation, settings.test, settings.seed)[members]
    parts = np.array([PARTS.index(grouping.parts[item]) for item in items], dtype=np.int64)
    if (parts != VALIDATION).all():
        own = np.unique(members[parts == TRAIN])
        _require(len(own), 2, "groups in the train part, of which some must become validation")
        share = settings.validation / (1 - settings.test)
        chosen = own[divide_by(totals[own], (1 - share, share), settings.seed) == 1]
        parts[np.isin(members, chosen)] = VALIDATION
    return parts


def _require(count: int, least: int, what: str) -> None:
    if count < least:
        raise DataError(f"got {count} {what}, must be at least {least}; add some, or other --groups")
