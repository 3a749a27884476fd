"""The request that a continuation is asked with, word for word."""

from dataclasses import replace

from app.domain.prompts import ChatPrompt
from worker.openai import Ask, ImageFile, Sampling
from worker.openai.chat import chat_request

ASK = Ask(
    prompt=ChatPrompt(
        system="You write lectures.",
        images=("a" * 64, "b" * 64),
        instruction="Write the script.\n",
        prefix="## Slide 1\n\nWelcome. \n\n",
    ),
    sampling=Sampling({"temperature": 0.7, "max_tokens": 800}, ("<end>",), seed=5),
    request_id="regeneration-7-1",
    priority=3,
)


def test_the_whole_request() -> None:
    body = chat_request(
        ASK,
        model="lecturer",
        urls={"a" * 64: "data:image/png;base64,QUFB", "b" * 64: None},
        extended=True,
    )
    assert body == {
        "model": "lecturer",
        "messages": [
            {"role": "system", "content": "You write lectures."},
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,QUFB"},
                        "uuid": "a" * 64,
                    },
                    {"type": "image_url", "image_url": None, "uuid": "b" * 64},
                    {"type": "text", "text": "Write the script.\n"},
                ],
            },
            {"role": "assistant", "content": "## Slide 1\n\nWelcome. \n\n"},
        ],
        "add_generation_prompt": False,
        "continue_final_message": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "max_tokens": 800,
        "stop": ["<end>"],
        "seed": 5,
        "logprobs": True,
        "request_id": "regeneration-7-1",
        "priority": 3,
        "return_prompt_text": True,
    }


def test_without_a_prefix_the_server_opens_the_turn() -> None:
    ask = replace(ASK, prompt=ChatPrompt("", (), "Write.", ""))
    body = chat_request(ask, model="m", urls={}, extended=True)
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Write."}]},
    ]
    assert (body["add_generation_prompt"], body["continue_final_message"]) == (True, False)


def test_servers_other_than_vllm_get_what_all_of_them_know() -> None:
    image = ImageFile(b"AAA", "image/png")
    ask = replace(ASK, prompt=replace(ASK.prompt, images=("a" * 64,)), certainty=False)
    body = chat_request(ask, model="m", urls={"a" * 64: image.url}, extended=False)
    assert sorted(body) == [
        "add_generation_prompt",
        "continue_final_message",
        "max_tokens",
        "messages",
        "model",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "temperature",
    ]
    messages = body["messages"]
    assert isinstance(messages, list)
    assert messages[1]["content"][0] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,QUFB"},
    }
