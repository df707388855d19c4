"""Grey pictures in classes, in files or in one `.npz`, for the layout `classes`."""

from pathlib import Path

from vaeforge.importing.image_layouts import by_class
from vaeforge.importing.images import LEAST_OF_CLASS, read_images, require_classes
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.npz_images import find_stack, read_stack
from vaeforge.importing.parsed_source import ImportLog, ParsedSource


def read_classes(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """Grey pictures in classes.

    Raises:
        DataError: as `read_images`.
    """
    content = read_images(source, by_class(source, options, log, grey=True), options, LEAST_OF_CLASS, log)
    require_classes(source, len(content.summary))
    return content


class ClassesFormat(ImportFormat):
    """Grey pictures of known classes."""

    layout = "classes"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        stack = find_stack(source, log)
        return read_stack(stack, options, log) if stack else read_classes(source, options, log)


FORMAT = ClassesFormat()
