"""``python -m hilum``: the command line."""

from hilum.apps.cli.main import main

main()
