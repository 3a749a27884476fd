"""Generation settings of a project, as a server is asked."""

import pytest

from worker.engine import EngineError
from worker.openai import Sampling


def test_only_what_the_project_sets_is_asked_for() -> None:
    assert Sampling.of({}) == Sampling({})
    assert Sampling.of({"look_ahead": 3, "system": "Be brief.", "temperature": None}) == Sampling(
        {}
    )


def test_all_settings_arrive() -> None:
    sampling = Sampling.of(
        {
            "temperature": 0.7,
            "top_p": 1,
            "top_k": 20,
            "min_p": 0.05,
            "repetition_penalty": 1.05,
            "max_tokens": 4096,
            "min_tokens": 3,
            "stop": ["<end>", "###"],
            "seed": 7,
            "logit_bias": {"5": 2},
        }
    )
    assert sampling.options == {
        "temperature": 0.7,
        "top_p": 1.0,
        "min_p": 0.05,
        "repetition_penalty": 1.05,
        "top_k": 20,
        "max_tokens": 4096,
        "min_tokens": 3,
    }
    assert sampling.stop == ("<end>", "###")
    assert sampling.seed == 7
    assert sampling.logit_bias == {"5": 2.0}


def test_each_regeneration_has_its_own_seed() -> None:
    seeds = [Sampling.of({"seed": 7}, regeneration_id=one).seed for one in (1, 2, 2)]
    assert seeds == [8, 9, 9]


def test_one_stop_string_may_stand_alone() -> None:
    assert Sampling.of({"stop": "END"}).stop == ("END",)
    assert Sampling.of({"stop": ""}).stop == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"),
        ("temperature", -1),
        ("temperature", True),
        ("top_p", 1.5),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("seed", -1),
        ("stop", [""]),
        ("stop", 5),
        ("logit_bias", [1]),
        ("logit_bias", {"5": 101}),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: object) -> None:
    with pytest.raises(EngineError, match=f"“{name}”") as refused:
        Sampling.of({name: value})
    assert not refused.value.temporary
