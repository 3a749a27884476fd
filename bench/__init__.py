"""Measurements of the real thing: real processes, the embedded database, generated samples."""
