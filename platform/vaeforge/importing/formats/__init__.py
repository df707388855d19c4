"""Import formats by the layout that they make: a module here with a FORMAT, see `vaeforge.importing.import_format`."""
