"""JSON Lines: every field, every error with its place, every text byte for byte."""

import json
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.domain.segments import RuleKind
from app.images.store import ImageStore
from tests.domain.texts import TEXTS
from tests.support.factories import add_project
from tests.support.imports import Importer, lines, picture, row, texts, tree


@pytest.fixture
def importer(db: Session, tmp_path: Path) -> Importer:
    return Importer(db, add_project(db), ImageStore(tmp_path / "store"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl"


def test_a_sample_keeps_all_that_its_line_says(importer: Importer, tmp_path: Path) -> None:
    sample = row(images=["a.png", "sub/b.png"], length=30, metadata={"round": 2}, source="web")
    folder = tree(
        tmp_path / "in",
        {
            "samples.jsonl": lines(sample | {"title": "Greetings"}),
            "a.png": picture("red"),
            "sub/b.png": picture("blue"),
        },
    )
    report = importer(folder / "samples.jsonl", policy="qwen@abc")
    assert (report.added, report.unchanged, report.images, report.segments) == (1, 0, 2, 2)
    [kept] = importer.samples()
    assert (kept.source_id, kept.title, kept.instruction) == (
        "sample-1", "Greetings", "Write a lecture script.",
    )  # fmt: skip
    assert (kept.language, kept.target_words) == ("en", 30)
    assert kept.extra == {"round": 2, "source": "web"}
    segments = importer.output("sample-1")
    assert texts(segments) == ["## Slide 1\nWelcome.\n\n", "## Slide 2\nGoodbye."]
    assert [segment.image_index for segment in segments] == [0, 1]
    assert [segment.ends_output for segment in segments] == [False, True]
    assert len({segment.policy_id for segment in segments}) == 1


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_kept_byte_for_byte(importer: Importer, file: Path, name: str) -> None:
    text = TEXTS[name]
    file.write_bytes(lines(row(output=text, instruction=f"Write.{text}")))
    importer(file)
    assert "".join(texts(importer.output("sample-1"))).encode() == text.encode()
    assert importer.samples()[0].instruction.encode() == f"Write.{text}".encode()


def test_escapes_of_json_arrive_as_the_characters_they_mean(importer: Importer, file: Path) -> None:
    file.write_text(json.dumps(row(output="é😀\u2028")) + "\n", encoding="ascii")
    importer(file)
    assert "".join(texts(importer.output("sample-1"))) == "é😀\u2028"


def test_messages_of_a_chat_are_instruction_and_output(importer: Importer, tmp_path: Path) -> None:
    user = "<image>\n<image>\nDescribe both.\n\nTwo <images>.  "
    rows = [
        {"id": 7, "messages": [user, " An answer.\n"], "images": ["a.png", "a.png"]},
        {
            "messages": [
                {"role": "user", "content": "<image><image>Compare."},
                {"role": "assistant", "content": "They differ."},
            ],
            "images": ["a.png", "a.png"],
        },
    ]
    folder = tree(tmp_path / "in", {"chat.jsonl": lines(*rows), "a.png": picture()})
    importer(folder / "chat.jsonl")
    first, second = importer.samples()
    assert (first.source_id, first.instruction) == ("7", "Describe both.\n\nTwo <images>.  ")
    assert first.title == "Describe both."
    assert texts(importer.output("7")) == [" An answer.\n"]
    assert (second.source_id, second.instruction) == ("chat:2", "Compare.")


def test_placeholders_and_images_must_agree(importer: Importer, file: Path) -> None:
    file.write_bytes(lines({"messages": ["<image>Describe.", "It is red."], "images": []}))
    assert importer.refused(file) == [
        "samples.jsonl, line 1, messages[0]: The text has 1 <image> and the row 0 images."
    ]


def test_given_segments_are_taken_as_they_are(importer: Importer, file: Path) -> None:
    file.write_bytes(
        lines(
            row(1, segments=["## Slide 1\n", "Welcome.\n\n## Slide 2\nGoodbye."]),
            {"id": "x", "instruction": "Write.", "segments": ["One. ", "Two."]},
        )
    )
    importer(file)
    assert len(importer.output("sample-1")) == 2
    assert texts(importer.output("x")) == ["One. ", "Two."]


def test_one_segment_an_image_is_linked_to_it(importer: Importer, tmp_path: Path) -> None:
    sample = row(images=["a.png", "a.png"], output="One. Two.", segments=["One. ", "Two."])
    folder = tree(tmp_path / "in", {"s.jsonl": lines(sample), "a.png": picture()})
    importer(folder / "s.jsonl")
    assert [segment.image_index for segment in importer.output("sample-1")] == [0, 1]


def test_a_sample_without_output_is_a_root_alone(importer: Importer, file: Path) -> None:
    file.write_bytes(lines({"id": "empty", "instruction": "Write."}))
    assert importer(file).segments == 0
    assert importer.output("empty") == []


def test_a_long_text_that_the_rule_cannot_divide_is_cut_by_another(
    importer: Importer, file: Path
) -> None:
    paragraphs = "\n\n".join(["word " * 150] * 4)
    sentences = "A sentence of seven words stands here. " * 80
    file.write_bytes(lines(row(1, output=paragraphs), row(2, output=sentences), row(3)))
    assert importer(file).recut == 2
    rules = [sample.rule for sample in importer.samples()]
    assert rules == [RuleKind.PARAGRAPHS, RuleKind.SENTENCES, None]
    assert len(importer.output("sample-1")) == 4
    assert "".join(texts(importer.output("sample-2"))) == sentences


def test_a_file_with_a_byte_order_mark_and_blank_lines_is_read(
    importer: Importer, file: Path
) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + lines(row(1), "", "   ", row(2)))
    assert importer(file).added == 2


SURROGATE = '{"id": "s", "instruction": "x", "output": "a\\ud83d b"}'
NUL = '{"id": "n", "instruction": "x", "output": "a\\u0000b"}'


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{", "line 1: The line is not JSON at character 3: Expecting property name"),
        ("[1]", "line 1: The line is a list; "),
        ("7", "line 1: The line is not a JSON object."),
        ('{"a": NaN}', "line 1: The line is not JSON: NaN is not a JSON number."),
        ("[" * 100_000, "line 1: The line is nested too deeply."),
        (row(instruction=None), "line 1, instruction: A text is needed here, not null."),
        ({"id": "a"}, "line 1, instruction: This field is missing, and no other column says"),
        (row(instruction=" \n"), "line 1, instruction: An instruction is needed."),
        (row(id=""), "line 1, id: An id is needed."),
        (row(id=1.5), "line 1, id: An id is a string or a whole number."),
        (row(id="a\nb"), "line 1, id: An id holds no control characters or line breaks."),
        (row(id="x" * 201), "line 1, id: An id has at most 200 characters."),
        (row(output=3), "line 1, output: A text is needed here, not a number."),
        (NUL, "line 1, output: The text contains a NUL character (U+0000) at character 2."),
        (SURROGATE, "line 1, output: The text contains half of a surrogate pair (U+D83D)"),
        (row(output="x<|im_end|>"), "line 1, output: The text contains <|im_end|> at character 2"),
        (row(images="a.png"), "line 1, images: A list of paths is needed."),
        (row(images=[3]), "line 1, images[0]: A path is needed here, not a number."),
        (row(images=["no.png"]), "line 1, images[0]: There is no file no.png."),
        (row(length=0), "line 1, length: A whole number of words, above 0, is needed."),
        (row(length=True), "line 1, length: A whole number of words, above 0, is needed."),
        (row(metadata=[]), ""),
        (row(tags="math"), "line 1, tags: A list of texts of up to 200 characters is needed."),
        (row(tags=["a", 1]), "line 1, tags: A list of texts"),
        (row(metadata=[1]), "line 1, metadata: A JSON object is needed."),
        (row(metadata={"a": "\0"}), "line 1, metadata: The text contains a NUL character"),
        (row(segments=["a"]), "line 1, segments: The segments do not add up to the output."),
        (row(segments=[""]), "line 1, segments[0]: A segment holds some text."),
        ({"messages": ["a"], "output": "b", "id": "a"}, "line 1, messages: A line has messages or"),
        ({"messages": []}, "line 1, messages: A list of messages is needed."),
        (
            {"messages": [{"role": "assistant", "content": "a"}]},
            'line 1, messages[0].role: The role "user" is needed here',
        ),
    ],
)  # fmt: skip
def test_an_error_names_the_file_the_line_and_the_field(
    importer: Importer, file: Path, line: str | dict[str, object], error: str
) -> None:
    file.write_bytes(lines(line))
    if not error:
        assert importer(file).added == 1
        return
    [found] = importer.refused(file)
    assert found.startswith(f"samples.jsonl, {error}")


def test_a_line_that_is_not_utf_8_is_named(importer: Importer, file: Path) -> None:
    file.write_bytes(
        lines(row()) + json.dumps(row(2, output="é"), ensure_ascii=False).encode("latin1")
    )
    [error] = importer.refused(file)
    assert error.startswith("samples.jsonl, line 2: The line is not UTF-8 text (byte ")


def test_errors_come_together_and_in_order(importer: Importer, file: Path) -> None:
    file.write_bytes(lines(row(1), "{", row(2, images=["no.png"]), row(1), row(3, length=-1)))
    assert [error.partition(":")[0] for error in importer.refused(file)] == [
        "samples.jsonl, line 2",
        "samples.jsonl, line 3, images[0]",
        "samples.jsonl, line 4, id",
        "samples.jsonl, line 5, length",
    ]


def test_many_errors_are_counted_by_kind(importer: Importer, file: Path) -> None:
    broken = [row(at, length="long") for at in range(80)]
    missing = [{"id": f"no-{at}", "output": "x"} for at in range(15)]
    file.write_bytes(lines(row(1000), *broken, *missing, "{"))
    assert importer.refused(file) == [
        "80 x samples.jsonl, line 2, length: A whole number of words, above 0, is needed.",
        "15 x samples.jsonl, line 82, instruction: This field is missing.",
        "1 x samples.jsonl, line 97: The line is not JSON at character 3: Expecting property name "
        "enclosed in double quotes.",
    ]


def test_ten_thousand_bad_lines_are_one_sentence(importer: Importer, file: Path) -> None:
    file.write_bytes(b"{'python': 'not JSON'}\n" * 10_000)
    [error] = importer.refused(file)
    assert error.startswith("10000 x samples.jsonl, line 1: The line is not JSON at character 2")


def test_a_file_without_samples_is_refused(importer: Importer, file: Path) -> None:
    file.write_bytes(b"\n")
    assert importer.refused(file) == ["samples.jsonl: The file is empty."]


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "/etc/hostname", "sub/../../secret.png", "link.png", "https://a.example/b.png",
     "data:image/png;base64,AA", "C:\\secret.png", "a\u0000b.png", "", "folder"],
)  # fmt: skip
def test_no_image_is_read_from_outside_the_folder(
    importer: Importer, tmp_path: Path, path: str
) -> None:
    tree(tmp_path, {"secret.png": picture(), "in/samples.jsonl": lines(row(images=[path]))})
    (tmp_path / "in" / "folder").mkdir()
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "secret.png")
    [error] = importer.refused(tmp_path / "in" / "samples.jsonl")
    assert error.startswith("samples.jsonl, line 1, images[0]: ")


def test_a_picture_that_is_none_is_named_with_its_line(importer: Importer, tmp_path: Path) -> None:
    folder = tree(
        tmp_path / "in",
        {
            "s.jsonl": lines(row(1, images=["good.png"]), row(2, images=["good.png", "bad.png"])),
            "good.png": picture(),
            "bad.png": b"<svg/>",
        },
    )
    [error] = importer.refused(folder / "s.jsonl")
    assert error.startswith("s.jsonl, line 2, images[1]: This is not an image")
