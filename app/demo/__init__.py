"""The demonstration: projects with slides and real model outputs, and people to log in as."""

from app.demo.seeding import DemoSummary, seed

__all__ = ["DemoSummary", "seed"]
