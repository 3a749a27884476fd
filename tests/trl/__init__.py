"""Against the real TRL, on a CPU, with a tiny random model; in an environment of its own."""
