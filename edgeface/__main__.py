"""`python -m edgeface`: the same as the command `edgeface`."""

from edgeface.cli import main

main()
