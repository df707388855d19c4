"""Layouts of data by name: a module or package here with a LAYOUT, see `vaeforge.config.layouts`."""
