"""Locations of files that the code reads: pages, static files, migrations, catalogues, demo data.

In the repository these directories are at the top level, for the people who work on them. An
installed wheel has them inside the package `app` (setup.py), so that it claims no common name like
`static` among everybody's packages.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# Where the packages `app` and `worker` lie: the repository, or an environment's packages.
PROGRAM = _PACKAGE.parent


def _place(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else PROGRAM / name


TEMPLATES = _place("templates")
STATIC = _place("static")
MIGRATIONS = _place("migrations")
LOCALES = _PACKAGE / "locale"
DEMO_DATA = _PACKAGE / "demo_data"
