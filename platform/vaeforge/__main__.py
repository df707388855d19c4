"""`python -m vaeforge` is the command line."""

from vaeforge.cli import main

main()
