"""Readers of tables: one module for each kind of file, all of them give records."""
