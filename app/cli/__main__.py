"""python -m app.cli is the command iterdpo."""

from app.cli import main

main()
