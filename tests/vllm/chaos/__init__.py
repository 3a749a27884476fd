"""The parts of the chaos test: who corrects, who reads, what goes wrong, and what must hold."""
