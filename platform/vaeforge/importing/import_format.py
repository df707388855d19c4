"""An import format: how what users have becomes a data set of one layout.

A format is a module of `vaeforge.importing.formats` called as the layout is, or an entry point of the group
`vaeforge.import_formats` in any other package.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog, ParsedSource
from vaeforge.plugins import Group, Plugins, PluginSource


class ImportFormat(ABC):
    """What `vaeforge import` reads for one layout.

    Attributes:
        layout: the name of the layout that it makes.
    """

    layout: ClassVar[str]

    @abstractmethod
    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        """Read and check `source`, a folder or file (archives are unpacked before), whole.

        Args:
            source: what is imported.
            options: what the user said about it; a format looks at its own options only.
            log: takes what is left out and what a person should know.

        Raises:
            DataError: if nothing in it can be used, or something in it cannot be meant.
        """


FORMATS: Plugins[ImportFormat] = Plugins(
    PluginSource("vaeforge.importing.formats", "FORMAT", Group.IMPORT_FORMATS),
    ImportFormat,
    "kind",
)
