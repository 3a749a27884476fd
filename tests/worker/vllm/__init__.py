"""Tests of the supervision of vLLM, with a program that only pretends to be it."""

from pathlib import Path


def pretended_path() -> Path:
    """The program."""
    return Path(__file__).with_name("pretended.py")
