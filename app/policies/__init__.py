"""Policies: what model texts are written with, and the adapters that trainers add."""
