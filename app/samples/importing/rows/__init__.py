"""Rows of data sets as samples: every field checked, every error with its name."""

from app.samples.importing.rows.sample import read_samples

__all__ = ["read_samples"]
