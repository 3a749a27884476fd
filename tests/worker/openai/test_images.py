"""Images are sent whole once, exactly as they are stored."""

import base64

from worker.openai import ImageFile
from worker.openai.images import SentImages


def test_the_address_of_an_image_is_its_own_bytes() -> None:
    data = bytes(range(256))
    kind, _, encoded = ImageFile(data, "image/png").url.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(encoded) == data


def test_what_was_sent_is_left_out_until_it_is_forgotten() -> None:
    sent = SentImages()
    assert sent.missing(["a", "b"]) == {"a", "b"}
    sent.sent(["a", "b"])
    assert sent.missing(["a", "b", "c"]) == {"c"}
    sent.forget(["a", "z"])
    assert sent.missing(["a", "b"]) == {"a"}


def test_the_least_recently_used_are_forgotten_first() -> None:
    sent = SentImages(most=2)
    sent.sent(["a", "b"])
    sent.sent(["a"])
    sent.sent(["c"])
    assert sent.missing(["a", "b", "c"]) == {"b"}
