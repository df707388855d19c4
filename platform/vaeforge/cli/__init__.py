"""Command line: one file per group of commands; nothing but parsing and calling a step."""
