"""Drafts to correct, through the app as a browser does and straight at the model server."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import select

from app.annotation.edits.assignment import open_draft
from app.annotation.edits.path import Path as TreePath
from app.domain.prompts import ChatPrompt
from app.domain.segments import RuleKind
from app.images.store import ImageStore
from app.models import Draft, Project, Regeneration, Role, Sample, SampleImage, User
from app.projects import service as projects
from app.samples.importing import import_path
from bench.material import write_lectures
from tests.support.studio import Studio
from worker.openai import Ask, Sampling
from worker.openai.chat import PATH, chat_request

# The segment that is corrected, and what is put before its text.
NUMBER = 6
CORRECTED = "Corrected. "
_RUN = re.compile(r'data-resume="([^"]*)" data-url="([^"]*)"')


Settings = dict[str, object]


@dataclass
class Told:
    """What came of one continuation. first_s, last_s: its texts, since it was asked for."""

    began: float = 0.0
    first_s: float = 0.0
    last_s: float = 0.0
    text: list[str] = field(default_factory=list)
    tokens: int = 0
    run_id: int = 0


@dataclass
class Drafts:
    """One annotator's drafts, each of a sample of its own, none of them touched."""

    house: Studio
    user: User
    ids: list[int]

    def take(self, count: int) -> list[int]:
        """Drafts that nobody has used yet."""
        taken, self.ids = self.ids[:count], self.ids[count:]
        if len(taken) < count:
            raise RuntimeError("More samples are needed.")
        return taken

    def set(self, settings: Settings) -> None:
        """The generation settings of the project from now on."""
        with self.house.sessions.begin() as db:
            db.scalars(select(Project)).one().generation = settings

    def correction(self, draft_id: int, number: int = NUMBER) -> tuple[str, dict[str, str]]:
        """Address and form of a correction of that segment."""
        with self.house.sessions() as db:
            draft = db.get_one(Draft, draft_id)
            leaf = draft.head_id
            if draft.regeneration_id is not None:
                leaf = db.get_one(Regeneration, draft.regeneration_id).leaf_id
            segment = TreePath.load(db, leaf).steps[number]
        form = {
            "text": f"{CORRECTED}{segment.text}",
            "mode": "continue",
            "base_version": str(draft.version),
        }
        return f"/drafts/{draft_id}/segments/{segment.id}/correction", form

    def prompt(self, draft_id: int, *, corrected: bool) -> ChatPrompt:
        """What the model is asked with when that segment is corrected, or the text before it."""
        with self.house.sessions() as db:
            draft = db.get_one(Draft, draft_id)
            sample = db.get_one(Sample, draft.sample_id)
            images = db.scalars(
                select(SampleImage.sha256)
                .where(SampleImage.sample_id == sample.id)
                .order_by(SampleImage.position)
            ).all()
            texts = [step.text for step in TreePath.load(db, sample.head_id or 0).steps]
        prefix = "".join(texts[:NUMBER]) + (f"{CORRECTED}{texts[NUMBER]}" if corrected else "")
        return ChatPrompt("", tuple(images), sample.instruction, prefix)


def seed(house: Studio, folder: Path, *, samples: int, segments: int, images: int) -> Drafts:
    """Import lectures and open each of them."""
    file = write_lectures(folder, samples=samples, segments=segments, images=images, words=60)
    with house.sessions.begin() as db:
        user = User(name="bench", display_name="Bench", role=Role.ANNOTATOR)
        db.add(user)
        db.flush()
        project = projects.add(db, name="bench")
        project.rule = RuleKind.PARAGRAPHS
        projects.add_member(db, project=project, name=user.name)
        store = ImageStore(house.data / "images")
        import_path(db, project=project, path=file, store=store, actor_id=None)
    with house.sessions.begin() as db:
        ids = db.scalars(select(Sample.id).order_by(Sample.id)).all()
        drafts = [open_draft(db, sample_id=sample, user_id=user.id).id for sample in ids]
    return Drafts(house, user, drafts)


def through_the_page(client: httpx.Client, address: str, form: dict[str, str]) -> Iterator[Told]:
    """Save, open the stream that is named, read it; yields at the first text and at the end."""
    began = time.perf_counter()
    told = Told(began)
    answer = client.put(address, data=form, headers={"HX-Request": "true"})
    answer.raise_for_status()
    found = _RUN.search(answer.text)
    if found is None:
        raise RuntimeError("The answer names no run.")
    after, url = found.groups()
    told.run_id = int(url.rpartition("/")[2])
    with client.stream("GET", f"{url}/stream", params={"after": after}) as stream:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: ") and kind == "tok":
                told.last_s = time.perf_counter() - began
                told.text.append(json.loads(line[6:])["text"])
                if not told.first_s:
                    told.first_s = told.last_s
                    yield told
    yield told


def directly(
    client: httpx.Client, prompt: ChatPrompt, settings: Settings, model: str
) -> Iterator[Told]:
    """The worker's own request with nothing between; yields like through_the_page()."""
    ask = Ask(prompt, Sampling.of(settings), f"direct-{time.perf_counter_ns()}")
    body = chat_request(ask, model=model, urls=dict.fromkeys(prompt.images), extended=True)
    began = time.perf_counter()
    told = Told(began)
    with client.stream("POST", PATH, json=body) as stream:
        stream.raise_for_status()
        for line in stream.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            if event.get("usage"):
                told.tokens = event["usage"]["completion_tokens"]
            for choice in event["choices"]:
                if choice["delta"].get("content"):
                    told.last_s = time.perf_counter() - began
                    told.text.append(choice["delta"]["content"])
                    if not told.first_s:
                        told.first_s = told.last_s
                        yield told
    yield told


def to_the_end(telling: Iterator[Told]) -> Told:
    """Read on until nothing comes any more."""
    return [*telling][-1]
