import pytest

from app.domain.corrections import Kind, Verdict, is_on_policy
from app.domain.tree import Node, Origin, common, path, prefix, text


def node(at: int, parent: int | None, words: str, origin: Origin = Origin.MODEL) -> Node:
    return Node(at, parent, words, origin, ends_output=False)


NODES = {
    entry.id: entry
    for entry in (
        node(1, None, "", Origin.ROOT),
        node(2, 1, "One.\n"),
        node(3, 2, "Two.\n"),
        node(4, 2, "Zwei.\n", Origin.HUMAN),
        node(5, 4, "Drei."),
        node(9, None, "", Origin.ROOT),
    )
}


def test_a_path_runs_from_the_root_to_the_leaf() -> None:
    assert [entry.id for entry in path(NODES, 5)] == [1, 2, 4, 5]


def test_the_texts_of_a_path_are_the_output() -> None:
    assert text(NODES, 5) == "One.\nZwei.\nDrei."
    assert text(NODES, 1) == ""


def test_a_prefix_is_the_text_up_to_the_parent() -> None:
    assert prefix(NODES, 5) == "One.\nZwei.\n"
    assert prefix(NODES, 3) == prefix(NODES, 4) == "One.\n"
    assert prefix(NODES, 1) == ""


def test_a_missing_segment_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        path(NODES, 77)
    with pytest.raises(KeyError):
        path({2: NODES[2]}, 2)


def test_a_circle_of_parents_is_refused() -> None:
    with pytest.raises(ValueError, match="own ancestor"):
        path({1: node(1, 2, "a"), 2: node(2, 1, "b")}, 1)


def test_two_outputs_share_the_segments_before_they_part() -> None:
    assert common(NODES, 3, 5).id == 2
    assert common(NODES, 4, 5).id == 4
    with pytest.raises(ValueError, match="different trees"):
        common(NODES, 5, 9)


@pytest.mark.parametrize(
    ("origin", "copied", "engine", "on_policy"),
    [
        (Origin.MODEL, False, "openai", True),
        (Origin.MODEL, False, None, True),
        (Origin.MODEL, False, "replay", False),
        (Origin.MODEL, True, "openai", False),
        (Origin.HUMAN, False, "openai", False),
    ],
)
def test_only_what_a_model_wrote_under_this_prefix_is_on_policy(
    origin: Origin, copied: bool, engine: str | None, on_policy: bool
) -> None:
    assert is_on_policy(origin, copied, engine) is on_policy


def test_states_are_stored_in_lower_case() -> None:
    for states in (Kind, Verdict, Origin):
        assert all(state.value == state.name.lower() for state in states)
