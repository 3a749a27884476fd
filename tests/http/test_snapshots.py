"""The pages of snapshots and their API: forms, lists, what changed, downloads that go on."""

import html
import re

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import service as accounts
from app.annotation.edits import assignment
from app.domain.corrections import Kind
from app.exports.snapshot_store import SnapshotStore
from app.models import Correction, Role, Snapshot, SnapshotState, now
from tests.http.conftest import HTMX, Browse, Make, World
from tests.support.factories import add_draft, add_sample, add_user
from tests.support.pairing import add_pair

FORM = {"name": "round-2", "format": "raw", "template": "qwen3-vl", "kind": "rewrite"}


def test_an_admin_asks_for_a_snapshot(
    admin: TestClient, db: Session, world: World, make: Make
) -> None:
    url = f"/projects/{world.project.id}/snapshots"
    sent = FORM | {"validation": "12.5", "seed": "7", "separate_images": "1", "allow": "language"}
    answer = admin.post(url, data=sent)
    assert answer.status_code == 303
    row = db.scalars(select(Snapshot).where(Snapshot.name == "round-2")).one()
    assert answer.headers["location"] == f"{url}#s{row.id}"
    assert (row.format, row.template, row.seed) == ("raw", "qwen3-vl", 7)
    assert row.filter == {"kind": ["rewrite"]}
    assert row.split == {"validation": 0.125, "test": 0.0, "separate_images": True}
    assert row.gate["allowed"] == ["language"]
    assert row.created_by == world.admin.id
    assert "Waiting for a worker" in admin.get(url).text


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"name": "Round 2"}, "lowercase letters"),
        ({"validation": "60", "test": "40"}, "No samples are left"),
        ({"validation": "x"}, "must be a number"),
        ({"seed": "-1"}, "whole number"),
        ({"format": "csv"}, "Formats:"),
        ({"min_share": "3"}, "share from 0 to 1"),
        ({"allow": "empty"}, "never exported"),
        ({"min_edit": "9", "max_edit": "3"}, "no pair can match both"),
    ],
)
def test_a_form_that_is_wrong_comes_back(
    admin: TestClient, db: Session, world: World, wrong: dict[str, str], word: str
) -> None:
    answer = admin.post(f"/projects/{world.project.id}/snapshots", data=FORM | wrong)
    assert answer.status_code == 422
    assert word in answer.text
    assert db.scalar(select(Snapshot)) is None


def field_of(page: str, name: str) -> str:
    """The field of that name with its label and what is said of it."""
    (found,) = re.findall(
        rf'<div class="field">(?:(?!</div>).)* name="{name}".*?</div>', page, re.S
    )
    return str(found)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"max_edit": "3"}, "no pair can match both"),
        ({"until": "2026-13-01"}, "a day such as"),
        ({"language": "Klingon!"}, "a language code"),
        ({"kind": "insert", "format": "kto"}, "cannot be filtered by kind"),
    ],
)
def test_a_filter_that_is_wrong_loses_nothing_that_was_typed(
    admin: TestClient, world: World, wrong: dict[str, str], word: str
) -> None:
    typed = FORM | {"min_edit": "9", "on_policy": "true", "annotator": "lin <x>", "tag": "t"}
    typed |= {"validation": "12.5", "seed": "7", "max_tokens": "9000"} | wrong
    answer = admin.post(
        f"/projects/{world.project.id}/snapshots", data=typed | {"allow": "language"}
    )
    assert answer.status_code == 422
    for name, value in typed.items():
        field, text = field_of(answer.text, name), html.escape(value)
        assert f'value="{text}"' in field or f"<option selected>{text}" in field, name
    assert 'value="language" checked' in answer.text
    at = field_of(answer.text, next(iter(wrong)))
    assert word in html.unescape(at)
    assert 'aria-invalid="true"' in at


def test_an_address_with_a_wrong_filter_fills_the_form_too(admin: TestClient, world: World) -> None:
    page = admin.get(f"/projects/{world.project.id}/snapshots?min_edit=9&max_edit=3&name=kept").text
    assert "no pair can match both" in field_of(page, "max_edit")
    assert 'value="kept"' in field_of(page, "name")


def test_every_kind_of_pair_can_be_asked_for(admin: TestClient, world: World) -> None:
    field = field_of(admin.get(f"/projects/{world.project.id}/snapshots").text, "kind")
    assert {*re.findall(r'value="(\w+)"', field)} == {*Kind}


def test_the_preview_counts_and_moves_the_address(
    admin: TestClient, world: World, make: Make
) -> None:
    url = f"/projects/{world.project.id}/snapshots"
    answer = admin.get(f"{url}/preview?kind=rewrite&name=x&format=trl", headers=HTMX)
    assert '<strong class="big">3</strong>' in answer.text
    assert f'data-address="{url}?kind=rewrite"' in answer.text
    none = admin.get(f"{url}/preview?kind=insert", headers=HTMX)
    assert '<strong class="big">0</strong>' in none.text
    wrong = admin.get(f"{url}/preview?min_edit=9&max_edit=3", headers=HTMX)
    assert "no pair can match both" in wrong.text
    # The address of the page fills its form.
    assert 'value="rewrite" selected' in admin.get(f"{url}?kind=rewrite").text


def test_the_preview_leads_to_what_the_gate_finds(
    admin: TestClient, db: Session, world: World, make: Make
) -> None:
    sample = add_sample(db, project=world.project)
    add_pair(db, sample=sample, number=1, text="## Slide 1\nWelcome  to the lecture.\n\n")
    db.commit()
    url = f"/projects/{world.project.id}/snapshots/preview?kind=rewrite&name=x&max_tokens=9000"
    for allow, passes in (("", False), ("&allow=whitespace", True)):
        text = html.unescape(admin.get(f"{url}{allow}", headers=HTMX).text)
        link = re.findall(r'href="([^"]*/pairs/gate[^"]*)"', text)[0]
        page = admin.get(link)
        assert page.status_code == 200
        assert ("found=whitespace" in page.text) is not passes


def test_a_row_asks_for_itself_until_it_is_ready(
    admin: TestClient, db: Session, make: Make, store: SnapshotStore
) -> None:
    waiting = make(ready=False)
    assert "every 1s" in admin.get(f"/snapshots/{waiting.id}/state", headers=HTMX).text
    ready = make("round-0")
    text = admin.get(f"/snapshots/{ready.id}/state", headers=HTMX).text
    assert "every 1s" not in text
    assert f"/snapshots/{ready.id}/archive" in text


def test_a_snapshot_has_a_page(admin: TestClient, trainer: TestClient, make: Make) -> None:
    made = make(validation=0.5)
    assert made.content_hash is not None
    for browser in (admin, trainer):
        page = browser.get(f"/snapshots/{made.id}").text
        assert made.content_hash in page
        assert "metadata.jsonl" in page
    assert "Delete snapshot" in admin.get(f"/snapshots/{made.id}").text
    assert "Delete snapshot" not in trainer.get(f"/snapshots/{made.id}").text


def test_its_page_shows_a_command_that_curl_takes(admin: TestClient, make: Make) -> None:
    made = make()
    shown = html.unescape(admin.get(f"/snapshots/{made.id}").text)
    command = re.search(r"curl .*?/archive", shown, re.DOTALL)
    assert command is not None
    # curl refuses to go on with a file (-C) of which only the server knows the name (-J).
    assert "-C -" in command[0]
    assert "-J" not in command[0]
    name = re.search(r"-o (\S+)", command[0])
    assert name is not None
    assert f"unzip {name[1]}" in shown


def test_annotators_and_strangers_see_no_snapshot(
    owner: TestClient, stranger: TestClient, visitor: TestClient, world: World, make: Make
) -> None:
    made = make()
    paths = [f"/projects/{world.project.id}/snapshots"] + [
        f"/snapshots/{made.id}{path}" for path in ("", "/state", "/archive", "/changes?since=1")
    ]
    for path in paths:
        assert owner.get(path).status_code == 403
        assert stranger.get(path).status_code in (403, 404)
        assert visitor.get(path).status_code == 303


def told(client: TestClient, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """What an answer says, without what is of this very request."""
    answer = client.get(path, headers=headers)
    if "json" in answer.headers["content-type"]:
        return answer.status_code, answer.json()["detail"]
    return answer.status_code, re.sub(r"<code>\w*</code>", "", answer.text)


def test_a_hidden_snapshot_is_told_in_the_words_of_a_missing_one(
    browse: Browse, stranger: TestClient, owner: TestClient, db: Session, make: Make
) -> None:
    hidden = make().id
    outsider = add_user(db, role=Role.TRAINER)
    secret = accounts.create_token(db, user_id=outsider.id, name="t", scopes=["pairs:read"], days=1)
    db.commit()
    token = {"Authorization": f"Bearer {secret}"}
    ways: list[tuple[TestClient, str, dict[str, str]]] = [
        (browse(outsider), "", {}),
        (stranger, "", {}),
        (owner, "", {}),
        (browse(None), "/api/v1", token),
    ]
    for client, api, headers in ways:
        for path in ("", "/state", "/archive", f"/changes?since={hidden}"):
            if not (api and path == "/state"):
                answers = [
                    told(client, f"{api}/snapshots/{number}{path}", headers)
                    for number in (hidden, hidden + 999)
                ]
                assert answers[0] == answers[1]
                assert answers[0][0] in (403, 404)


def test_trainers_make_and_delete_none(trainer: TestClient, world: World, make: Make) -> None:
    made = make()
    assert trainer.post(f"/projects/{world.project.id}/snapshots", data=FORM).status_code == 403
    assert trainer.post(f"/snapshots/{made.id}/deletion").status_code == 403


def test_a_deletion_takes_row_and_file(
    admin: TestClient, db: Session, make: Make, store: SnapshotStore
) -> None:
    made = make()
    assert admin.post(f"/snapshots/{made.id}/deletion").status_code == 303
    assert admin.get(f"/snapshots/{made.id}").status_code == 404
    assert made.id not in store.ids()


def test_a_failed_one_can_be_tried_again(
    admin: TestClient, db: Session, make: Make, world: World
) -> None:
    made = make(ready=False)
    assert admin.post(f"/snapshots/{made.id}/attempts").status_code == 409
    made.state, made.error, made.finished_at = SnapshotState.FAILED, "x", made.created_at
    db.commit()
    assert "Try again" in admin.get(f"/projects/{world.project.id}/snapshots").text
    assert admin.post(f"/snapshots/{made.id}/attempts").status_code == 303
    db.refresh(made)
    assert made.state is SnapshotState.QUEUED


def test_two_snapshots_are_compared(
    admin: TestClient, db: Session, world: World, make: Make
) -> None:
    one = make("one")
    sample = add_sample(db, project=world.project)
    new = add_pair(db, sample=sample, number=1, text="## Slide 1\nAdded.\n\n")
    db.commit()
    # Three samples more come with each call; their pairs repeat the first ones.
    two = make("two")
    page = admin.get(f"/snapshots/{two.id}/changes?since={one.id}").text
    assert f">{new.id}</a>" in page
    assert f"/pairs?id={new.id}" in page
    assert "the same pairs" in admin.get(f"/snapshots/{one.id}/changes?since={one.id}").text


def test_the_api_lists_shows_and_sends(
    visitor: TestClient, token: dict[str, str], world: World, make: Make
) -> None:
    made = make(validation=0.5)
    listed = visitor.get(f"/api/v1/snapshots?project={world.project.name}", headers=token).json()
    (one,) = listed["snapshots"]
    assert one == visitor.get(f"/api/v1/snapshots/{made.id}", headers=token).json()
    assert (one["state"], one["progress"], one["content_hash"]) == ("ready", 1, made.content_hash)
    assert one["counts"]["pairs"] == 3
    url = f"/api/v1/snapshots/{made.id}/archive"
    head = visitor.head(url, headers=token)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == one["size"]
    sent = visitor.get(url, headers=token | {"Range": "bytes=0-3"})
    assert (sent.status_code, sent.content) == (206, b"PK\x03\x04")
    changes = visitor.get(
        f"/api/v1/snapshots/{made.id}/changes?since={made.id}", headers=token
    ).json()
    assert changes == {"same": 3, "added": 0, "removed": 0, "changed": 0, "moved": 0, "pairs": {}}


def test_the_api_shows_nothing_to_members_of_other_projects(
    visitor: TestClient, db: Session, world: World, make: Make, stranger: TestClient
) -> None:
    made = make()
    outsider = add_user(db, role=Role.TRAINER)
    secret = accounts.create_token(db, user_id=outsider.id, name="t", scopes=["pairs:read"], days=1)
    db.commit()
    headers = {"Authorization": f"Bearer {secret}"}
    for path in ("", "/archive", f"/changes?since={made.id}"):
        assert visitor.get(f"/api/v1/snapshots/{made.id}{path}", headers=headers).status_code == 404


def test_a_pair_names_the_snapshots_that_hold_it_and_its_rows(
    admin: TestClient, db: Session, world: World, make: Make
) -> None:
    made = make(test=0.5)
    pair_id = db.scalars(select(Correction.id).order_by(Correction.id)).first()
    url = f"/projects/{world.project.id}/pairs"
    page = admin.get(f"{url}/{pair_id}").text
    assert re.search(rf'href="/snapshots/{made.id}">round-1</a></dt><dd>(train|test)</dd>', page)
    for fact in ("segment_chosen", "ends_output", "the imported output", "has not finished"):
        assert fact in page
    sample = add_sample(db, project=world.project)
    later = add_pair(db, sample=sample, number=1, text="## Slide 1\nLater.\n\n")
    db.commit()
    assert f"/snapshots/{made.id}" not in admin.get(f"{url}/{later.id}").text


def test_a_pair_has_neighbours_under_the_same_filter(
    admin: TestClient, db: Session, world: World, make: Make
) -> None:
    first, middle, last = db.scalars(select(Correction.id).order_by(Correction.id)).all()
    url = f"/projects/{world.project.id}/pairs"
    page = admin.get(f"{url}/{middle}?kind=rewrite").text
    assert f'rel="prev" href="{url}/{last}?kind=rewrite"' in page
    assert f'rel="next" href="{url}/{first}?kind=rewrite"' in page
    assert 'rel="prev"' not in admin.get(f"{url}/{last}").text
    assert 'rel="next"' not in admin.get(f"{url}/{first}").text
    assert 'rel="next"' not in admin.get(f"{url}/{middle}?kind=insert").text


def test_a_list_names_its_pairs_in_the_address(
    admin: TestClient, db: Session, world: World, make: Make
) -> None:
    first, middle, last = db.scalars(select(Correction).order_by(Correction.id)).all()
    middle.retracted_at = now()
    db.commit()
    url = f"/projects/{world.project.id}/pairs?id={first.id}&id={middle.id}"
    page = admin.get(url).text
    shown = [f'id="p{pair.id}"' in page for pair in (first, middle, last)]
    assert shown == [True, True, False]
    # What is counted is what is there.
    assert '<small class="muted" id="pair-count">2</small>' in page
    assert (
        '<small class="muted" id="pair-count">2</small>'
        in admin.get(f"{url}&id=999999&id={first.id}").text
    )
    none = admin.get(f"/projects/{world.project.id}/pairs?id=999999").text
    assert '<small class="muted" id="pair-count">0</small>' in none
    assert "None of these pairs" in none
    assert admin.get(f"/projects/{world.project.id}/pairs?id=0").status_code == 422


def test_the_form_knows_what_a_format_is_made_of(
    admin: TestClient, db: Session, world: World
) -> None:
    sample = add_sample(db, project=world.project)
    draft = add_draft(db, sample=sample, user=world.owner)
    assignment.finish(db, draft=draft, base_version=draft.version)
    db.commit()
    page = f"/projects/{world.project.id}/snapshots"
    asked = f"{page}/preview?format="
    assert "texts are searched" in admin.get(f"{asked}kto", headers=HTMX).text
    assert "finished text matches" in admin.get(f"{asked}sft", headers=HTMX).text
    assert "pairs match the filters" in admin.get(f"{asked}trl", headers=HTMX).text
    refused = admin.get(f"{asked}kto&kind=insert", headers=HTMX).text
    assert "cannot be filtered by kind" in refused
    form = {"name": "judged", "format": "kto", "kind": "insert"}
    again = admin.post(page, data=form)
    assert again.status_code == 422
    assert "cannot be filtered by kind" in html.unescape(again.text)
    assert 'value="judged"' in again.text
    assert admin.post(page, data={"name": "judged", "format": "csv"}).status_code == 422
    assert db.scalar(select(Snapshot)) is None
