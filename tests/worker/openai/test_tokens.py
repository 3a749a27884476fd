"""Requests by token ids."""

from app.domain.prompts import ChatPrompt
from worker.openai import Ask, Sampling
from worker.openai.tokens import generate_request, read_head

RENDERED = {
    "token_ids": [10, 11, 91, 94, 94, 94, 92, 91, 94, 94, 92, 12, 13],
    "features": {
        "mm_hashes": {"image": ["x", "y"]},
        "mm_placeholders": {"image": [{"offset": 8, "length": 2}, {"offset": 3, "length": 3}]},
    },
    "sampling_params": {
        "temperature": 0.7,
        "top_p": 0.8,
        "repetition_penalty": 1.05,
        "max_tokens": 16000,
        "output_kind": 2,
        "skip_clone": True,
        "stop": [],
    },
}


def test_each_image_of_the_head_is_one_id() -> None:
    head = read_head(RENDERED)
    assert head.ids == (10, 11, 91, 94, 92, 91, 94, 92, 12, 13)
    assert head.tokens == 13
    assert head.sampling == {
        "temperature": 0.7,
        "top_p": 0.8,
        "repetition_penalty": 1.05,
        "stop": [],
    }


def test_the_whole_request() -> None:
    ask = Ask(
        ChatPrompt("", ("a" * 64, "b" * 64), "Write.", "unused here"),
        Sampling({"temperature": 0.7, "max_tokens": 50}, seed=5, logit_bias={"7": 1.0}),
        request_id="regeneration-7-1",
    )
    body = generate_request(
        ask,
        head=read_head(RENDERED),
        prefix=[77, 78],
        model="lecturer",
        urls={"a" * 64: "data:image/png;base64,QUFB", "b" * 64: None},
    )
    assert body == {
        "model": "lecturer",
        "token_ids": [10, 11, 91, 94, 92, 91, 94, 92, 12, 13, 77, 78],
        "content_parts": [
            {"type": "image_url", "url": "data:image/png;base64,QUFB", "uuid": "a" * 64},
            {"type": "image_url", "url": None, "uuid": "b" * 64},
        ],
        "sampling_params": {
            "temperature": 0.7,
            "top_p": 0.8,
            "repetition_penalty": 1.05,
            "stop": [],
            "max_tokens": 50,
            "seed": 5,
            "logit_bias": {"7": 1.0},
            "logprobs": 0,
        },
        "stream": True,
        "stream_options": {"include_usage": True},
        "output_mode": "text",
        "request_id": "regeneration-7-1",
        "priority": 0,
    }


def test_what_was_written_before_counts_in_the_limits() -> None:
    ask = Ask(
        ChatPrompt("", (), "Write.", "unused here"),
        Sampling({"temperature": 0.7, "max_tokens": 50, "min_tokens": 10}),
        request_id="regeneration-7-2",
        written=30,
    )
    body = generate_request(ask, head=read_head(RENDERED), prefix=[77], model="lecturer", urls={})
    sampling = body["sampling_params"]
    assert (sampling["max_tokens"], sampling["min_tokens"]) == (20, 0)
    assert sampling["temperature"] == 0.7
