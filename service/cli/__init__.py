"""The command line: `python -m service <command>`; one file for each command."""
