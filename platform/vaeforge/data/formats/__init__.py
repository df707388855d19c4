"""File formats, one a module with a FORMAT; see `vaeforge.data.file_format`."""
