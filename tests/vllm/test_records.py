"""The witness's files are read as killed processes leave them."""

from pathlib import Path

import pytest

from tests.vllm.records import said_by_servers

ASKED = '{"number": 2, "id": "two", "prefix": "So", "seed": 1}\n{"number": 2, "status": 200}\n'


def test_a_request_whose_sender_died_in_the_middle_of_it_said_nothing(tmp_path: Path) -> None:
    (tmp_path / "7.jsonl").write_text(
        '{"number": 1, "status": 400}\n' + ASKED + '{"number": 2, "te'
    )
    assert [(name, one.status) for name, (one,) in said_by_servers(tmp_path).items()] == [
        ("two", 200)
    ]


def test_words_that_nobody_asked_for_are_no_such_request(tmp_path: Path) -> None:
    (tmp_path / "7.jsonl").write_text('{"number": 1, "text": "Hello"}\n' + ASKED)
    with pytest.raises(AssertionError):
        said_by_servers(tmp_path)
