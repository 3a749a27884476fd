"""The command `iterdpo`. Light, so that Ctrl+C is answered from the first moment on."""

import sys
from typing import NoReturn

from app.cli import interrupts


def main() -> NoReturn:
    """Run the command line and end the process with its status."""
    interrupts.leave_at_once()
    # Loading this takes most of a second.
    from app.cli.program import run

    sys.exit(run(sys.argv[1:]))
