"""What the demonstration shows: projects, and samples with their pictures (app/demo_data)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.segments import RuleKind
from app.resources import DEMO_DATA
from app.samples.importing.incoming import GivenPiece, ImageSource, IncomingSample, Where

# Two outputs are those of the LongWriter-V project (longwriter-v/LICENSE); the others were written
# for the demonstration, with mistakes to find.
_LONGWRITER = "LongWriter-V"
_OURS = "demo-writer"


@dataclass(frozen=True, slots=True)
class DemoProject:
    """A project of the demonstration. authors: who wrote the output of each sample, by its id.
    samples: read only when one of them is missing."""

    name: str
    title: str
    guidelines: str
    rule: RuleKind
    authors: Mapping[str, str]
    samples: Callable[[], list[IncomingSample]] = field(repr=False)


def demo_projects() -> tuple[DemoProject, ...]:
    """The projects, in the order in which a newcomer should meet them."""
    return (
        DemoProject(
            name="lectures",
            title="Lectures",
            guidelines=(
                "Read each segment beside its slide. Correct what the slide contradicts: wrong "
                "numbers, wrong names, things that are not there. Keep the tone of a teacher who "
                "speaks to a class. Change as little as needed; accept what is right."
            ),
            rule=RuleKind.SLIDES,
            authors={
                "generative-ai-16-slides": _LONGWRITER,
                "water-5-slides": _OURS,
                "compiler-6-slides": _OURS,
            },
            samples=_lectures,
        ),
        DemoProject(
            name="film-reviews",
            title="电影评论 · Film reviews",
            guidelines=(
                "逐段对照剧照阅读影评。改正与画面或影片不符之处，删去重复的套话，保持原有的语气。"
                "没有问题的段落请直接接受。"
            ),
            rule=RuleKind.PARAGRAPHS,
            authors={"pursuit-of-happyness": _LONGWRITER},
            samples=_reviews,
        ),
        DemoProject(
            name="reports",
            title="Reports",
            guidelines=(
                "Check every number against the figure beside it. A sentence that the figure does "
                "not support is rewritten or deleted."
            ),
            rule=RuleKind.HEADINGS,
            authors={"energy-report": _OURS},
            samples=_reports,
        ),
    )


def _lectures() -> list[IncomingSample]:
    lecture = _read("longwriter-v/lecture_16_slides.en.json")
    lecture |= {
        "id": "generative-ai-16-slides",
        "title": "Generative AI in K-12 education",
        "length": 3200,
    }
    decks = [_read("water_5_slides.en.json"), _read("compiler_6_slides.en.json")]
    return [_sample(content) for content in (lecture, *decks)]


def _reviews() -> list[IncomingSample]:
    review = _read("longwriter-v/film_review.zh.json")
    review |= {"id": "pursuit-of-happyness", "title": "《当幸福来敲门》影评", "length": 1600}
    return [_sample(review)]


def _reports() -> list[IncomingSample]:
    return [_sample(_read("energy_report.en.json"))]


def _sample(content: dict[str, Any]) -> IncomingSample:
    where = Where(content["id"])
    pictures = sorted((DEMO_DATA / "pictures" / content["id"]).glob("*.webp"))
    pieces = [GivenPiece(text, image) for text, image in content.get("segments", [])]
    return IncomingSample(
        where=where,
        source_id=content["id"],
        title=content["title"],
        instruction=content["instruction"],
        images=tuple(
            ImageSource(f"{content['id']}/{picture.name}", where, picture.name, picture.read_bytes)
            for picture in pictures
        ),
        output=content["output"],
        pieces=tuple(pieces) or None,
        target_words=content["length"],
    )


def _read(name: str) -> Any:
    return json.loads((DEMO_DATA / name).read_text(encoding="utf-8"))
