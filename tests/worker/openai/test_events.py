"""Server-sent events, however the network cuts them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.openai.events import Events

STREAM = (
    b": a comment\n\ndata: one\n\nevent: x\ndata: two\ndata: lines\n\n"
    b'data:{"content":"\xe7\xac\xac\xe4\xb8\x89\xe9\xa1\xb5"}\n\n\n\ndata: [DONE]\n\n'
)
DATA = [b"one", b"two\nlines", '{"content":"第三页"}'.encode(), b"[DONE]"]


@given(
    st.lists(st.integers(0, 2 * len(STREAM)), max_size=12),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_any_cut_gives_the_same_events(cuts: list[int], newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut <= len(stream))})
    events = Events()
    found = []
    for begin, end in pairwise(places):
        found += events.feed(stream[begin:end])
    assert found == DATA


def test_an_event_that_is_not_complete_is_kept_back() -> None:
    events = Events()
    assert events.feed(b"data: half") == []
    assert events.feed(b" an event\n") == []
    assert events.feed(b"\n") == [b"half an event"]
