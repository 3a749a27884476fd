"""The accounts of a demonstration, with passwords that everybody may know.

The app refuses to start with them outside demo (app/main.py).
"""

from dataclasses import dataclass

from app.models import Role


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account that `iterdpo demo` makes and the log-in page offers."""

    name: str
    display_name: str
    role: Role
    password: str


DEMO_ACCOUNTS = (
    DemoAccount("anna", "Anna Berg", Role.ANNOTATOR, "demo-annotator"),
    DemoAccount("admin", "Ada Admin", Role.ADMIN, "demo-admin-1"),
    DemoAccount("trainer", "Theo Trainer", Role.TRAINER, "demo-trainer"),
)
