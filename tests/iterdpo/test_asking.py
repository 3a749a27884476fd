"""What a trainer asks a studio for: filters by their names, and nothing that would get lost."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from iterdpo import load_pairs, stream_pairs
from iterdpo.config import read_config
from iterdpo.pulling import pull
from iterdpo.refusals import StudioRefusal
from iterdpo.studio import Studio
from tests.iterdpo.breaking import TOKEN, Fake, serving, some_pairs


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"limit": 1}, "limit is no filter"),
        ({"page": 1}, "page is no filter"),
        # From a variable that was never set: without the filter it would be all pairs.
        ({"annotator": ""}, "annotator: There is no value"),
        ({"kind": []}, "kind: There is no value"),
        ({"kind": ["rewrite", ""]}, "kind: There is no value"),
        ({"since": datetime(2026, 11, 1, 9, tzinfo=UTC)}, "since: A day is needed"),
    ],
)
def test_what_would_be_passed_over_is_refused(filters: Mapping[str, Any], said: str) -> None:
    with serving(Fake(some_pairs(3))) as fake:
        with pytest.raises(StudioRefusal, match=said):
            list(stream_pairs(fake.url, TOKEN, "lectures", **filters))
        assert fake.asked == []


@pytest.mark.parametrize("name", ["after", "format", "limit", "page", "project"])
def test_a_pull_takes_filters_alone(tmp_path: Path, name: str) -> None:
    with (
        serving(Fake(some_pairs(3))) as fake,
        Studio(fake.url, TOKEN) as studio,
        pytest.raises(StudioRefusal, match=f"{name} is no filter"),
    ):
        pull(studio, "lectures", tmp_path, filters={name: "1"})


@pytest.mark.parametrize("url", ["studio.example", "localhost:8000", "", "ftp://studio.example"])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(StudioRefusal, match=r"no address of a studio"):
        list(stream_pairs(url, TOKEN, "lectures"))


def test_a_problem_is_told_once() -> None:
    fault = {"field": "since", "detail": "A day is needed."}
    body = json.dumps({"detail": "A day is needed.", "errors": [fault]}).encode()
    with serving(Fake([], answers=[(422, {})], refusal=body)) as fake:
        with pytest.raises(StudioRefusal) as refusal:
            list(stream_pairs(fake.url, TOKEN, "lectures", since="x"))
        assert str(refusal.value).endswith("answered 422: since: A day is needed.")


def test_no_pair_is_a_dataset_without_rows(tmp_path: Path) -> None:
    with serving(Fake([])) as fake:
        dataset = load_pairs(fake.url, TOKEN, "lectures", cache=tmp_path)
    assert dataset.num_rows == 0
    assert "chosen" in dataset.column_names


def test_a_configuration_names_days_and_lists_as_yaml_does(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "model: m\noutput: o\ndata:\n  url: https://studio.example\n  project: lectures\n"
        "  filters: {since: 2026-11-01, round: [0, 1], kind: [rewrite], on_policy: true}\n"
    )
    assert read_config(path).data.filters == {
        "since": date(2026, 11, 1),
        "round": [0, 1],
        "kind": ["rewrite"],
        "on_policy": True,
    }
