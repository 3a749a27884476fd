"""The package of trainers: two names, and nothing heavy behind them."""

import json
import subprocess
import sys

import iterdpo

# What a script on a laptop, or in a notebook beside another torch, must not wait for or clash with.
HEAVY = {"app", "datasets", "fastapi", "PIL", "pydantic", "sqlalchemy", "torch", "transformers"}


def test_importing_it_brings_nothing_heavy() -> None:
    code = "import json, sys, iterdpo; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "httpx" in modules
    assert not modules & HEAVY


def test_its_names_are_those_that_the_docs_promise() -> None:
    assert iterdpo.__all__ == ["load_pairs", "stream_pairs"]
    assert all(callable(getattr(iterdpo, name)) for name in iterdpo.__all__)
