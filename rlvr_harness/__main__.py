"""`python -m rlvr_harness`: the command line, for interpreters whose scripts are not on the path."""

from rlvr_harness.cli import main

main()
