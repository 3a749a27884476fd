"""`iterdpo train` where it cannot train: a sentence, no trace."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import train
from app.cli.program import command_line


def test_it_names_what_is_not_installed_and_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "_NEEDED", ("json", "no_such_package", "nor_this"))
    done = CliRunner().invoke(command_line(["train"]), ["train", str(tmp_path / "run.yaml")])
    assert done.exit_code == 1
    assert "Training needs no_such_package, nor_this." in done.stderr
    assert 'pip install "iterdpo-studio[train]"' in done.stderr
    assert done.stdout == ""
