"""``python -m evtrig`` is the ``evtrig`` command."""

from .cli import main

main(prog_name="evtrig")
