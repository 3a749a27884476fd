"""Policies: what model texts are written with, adapters that are added, activated and loaded."""
