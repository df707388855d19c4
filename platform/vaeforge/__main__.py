"""Entry point of `python -m vaeforge`: the command line."""

from vaeforge.cli.app import main

main()
