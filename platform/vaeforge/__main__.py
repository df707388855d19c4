"""`python -m vaeforge` is the command line."""

from vaeforge.cli.app import main

main()
