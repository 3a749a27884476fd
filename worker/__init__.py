"""The worker: takes regenerations from the queue and writes them as an engine gives their text."""

from worker.process import main, run

__all__ = ["main", "run"]
