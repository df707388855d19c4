"""Conditions of a scoring: the class of each item, named once for all or told by the folder that it lies in.

Like in the data that such models learn from, a class is the name of a picture's folder, or the beginning of its own
name, `[Class]_[Number]`.
"""

import re
from pathlib import Path

import numpy as np

from vaeforge.config.layouts import layout_named
from vaeforge.errors import ConfigError, DataError
from vaeforge.package.contract import Contract
from vaeforge.package.inputs import one_hot
from vaeforge.score.batches import Values

NUMBERED = re.compile(r"(?P<name>.+)_\d+")


class ClassConditions:
    """The class of each picture as a condition [C]; C = 0 for models without one.

    Raises:
        ConfigError: if `label` is given for a model that knows no classes, or not this one.
    """

    def __init__(self, contract: Contract, label: str | None):
        self.contract = contract
        self.needed = bool(contract.condition)
        self.given: Values | None = None
        if label is not None:
            try:
                self.given = one_hot(label, contract, "--label")
            except DataError as error:
                raise ConfigError(str(error)) from None

    def of(self, path: Path) -> Values:
        """The condition [C] of what lies at `path`.

        Raises:
            DataError: if nothing says its class.
        """
        if not self.needed:
            return np.zeros(0, dtype=np.float32)
        if self.given is not None:
            return self.given
        if not layout_named(self.contract.data).condition_is_class:
            raise DataError(f"has no condition, must have the numbers {', '.join(self.contract.condition)}")
        return self.named(self._name(path))

    def named(self, name: str) -> Values:
        """The condition [C] of the class called `name`; `label` goes first.

        Raises:
            DataError: if the model does not know it.
        """
        return self.given if self.given is not None else one_hot(name, self.contract, "class")

    def _name(self, path: Path) -> str:
        """The name of the folder, unless only the file's own begins with a class."""
        folder, known = path.absolute().parent.name, self.contract.condition
        numbered = NUMBERED.fullmatch(path.stem)
        if folder not in known and numbered and numbered["name"] in known:
            return numbered["name"]
        return folder
