"""Which language a page is in, and what of it is said in that language."""

import re

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app import regenerations
from app.accounts import service as accounts
from app.domain.messages import Message
from app.models import RunState, now
from app.security import Actor
from app.settings import ROOT
from app.web.languages import Language, languages
from tests.http.conftest import HTMX, World

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}


def language(client: TestClient, **headers: str) -> str:
    found = re.search(r'<html lang="([^"]+)"', client.get("/login", headers=headers).text)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh-Hans-CN", "zh-Hans"),
        ("zh-SG", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("zh-Hans", "zh-Hans"),
        ("en-GB,zh-CN;q=0.5", "en"),
        ("fr-FR,zh-CN;q=0.5", "zh-Hans"),
        ("zh-TW", "en"),
        ("fr,de;q=0.5", "en"),
        ("*", "en"),
        ("", "en"),
        (";;,,<script>;q=x", "en"),
    ],
)
def test_a_page_is_in_the_language_that_the_browser_asks_for(
    visitor: TestClient, asked: str, given: str
) -> None:
    assert language(visitor, **{"Accept-Language": asked}) == given


def test_the_account_wins_over_the_browser_and_the_cookie_over_both(
    owner: TestClient, world: World, db: Session
) -> None:
    actor = Actor(world.owner.id, world.owner.name, "", world.owner.role, {})
    accounts.set_preferences(db, actor=actor, changes={"locale": "zh_Hans"})
    db.commit()
    page = owner.get("/account", headers={"Accept-Language": "en"}).text
    assert '<html lang="zh-Hans"' in page
    assert '<option value="zh_Hans" lang="zh-Hans" selected>' in page
    owner.cookies.set("locale", "en")
    assert '<html lang="en"' in owner.get("/account", headers=CHINESE).text
    owner.cookies.set("locale", "tlh")
    assert '<html lang="zh-Hans"' in owner.get("/account").text


def test_the_form_of_preferences_keeps_the_language(
    owner: TestClient, world: World, db: Session
) -> None:
    answer = owner.post("/preferences", data={"theme": "system", "locale": "zh_Hans"})
    assert answer.status_code == 303
    assert "locale=zh_Hans" in answer.headers["set-cookie"]
    db.refresh(world.owner)
    assert world.owner.preferences["locale"] == "zh_Hans"
    assert "您的设置已保存。" in owner.get("/account?done=preferences").text


def test_a_refusal_is_in_the_language_of_the_page_with_its_values(admin: TestClient) -> None:
    admin.headers.update(CHINESE)
    page = admin.post("/people", data={"name": "<b>", "role": "annotator"})
    assert page.status_code == 422
    assert "名称由 1 到 64 个字母" in page.text
    missing = admin.get("/nothing/here")
    assert "<title>未找到 · IterDPO Studio</title>" in missing.text
    assert "此网址没有内容。" in missing.text


def test_a_refused_fragment_and_what_scripts_of_the_page_get_are_translated(
    owner: TestClient, world: World
) -> None:
    owner.headers.update(CHINESE)
    url = f"/drafts/{world.draft.id}/segments"
    fragment = owner.put(f"{url}/999999/acceptance", data={"base_version": 1}, headers=HTMX)
    assert "此段落已不属于文本。请重新加载以查看当前文本。" in fragment.text
    unsaved = owner.put(f"{url}/999999/unsaved", json={"text": "x", "typed_at_ms": 1})
    assert unsaved.headers["content-type"] == "application/problem+json"
    assert unsaved.json()["detail"] == "此样本中没有该段落。"


def test_the_api_answers_in_english(visitor: TestClient) -> None:
    answer = visitor.get("/api/v1/projects", headers=CHINESE)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "Send an API token: Authorization: Bearer idp_…"


def test_words_of_the_code_are_translated_wherever_a_page_shows_them(
    admin: TestClient, world: World
) -> None:
    admin.headers.update(CHINESE)
    page = admin.get(f"/projects/{world.project.id}/pairs/gate").text
    assert "一侧只有空白，没有文本。" in page
    assert "供未经修改的 TRL DPOTrainer 使用的目录" in page
    assert "读取偏好对及其图像" in admin.get("/tokens").text


def test_moments_and_counts_are_written_as_the_language_writes_them(
    admin: TestClient, owner: TestClient, world: World
) -> None:
    year, month, day = world.sample.created_at.timetuple()[:3]
    page = admin.get(f"/samples/{world.sample.id}", headers=CHINESE).text
    assert f">{year}年{month}月{day}日 " in page
    queue = owner.get("/queue", headers=CHINESE).text
    assert re.search(r"\d+(秒钟?|分钟)前", queue)
    assert re.search(r"已审阅 0 / \d 段", queue)


def test_what_a_worker_said_is_found_again_in_the_catalogue(
    owner: TestClient, world: World, db: Session
) -> None:
    run = regenerations.request(
        db,
        draft=world.draft,
        anchor_id=world.draft.head_id,
        displaced_id=world.draft.head_id,
        displaced_depth=4,
    )
    run.state, run.finished_at = RunState.FAILED, now()
    run.error = Message(
        "The model server failed: %(said)s The text so far is kept.", said="<b>Full.</b>"
    )
    db.commit()
    page = owner.get(f"/drafts/{world.draft.id}", headers=CHINESE).text
    assert "模型服务器出错：&lt;b&gt;Full.&lt;/b&gt; 已生成的内容会保留。" in page


def test_an_unknown_sentence_stays_as_it_is() -> None:
    chinese = languages(ROOT / "app" / "locale")["zh_Hans"]
    for sentence in ("", "3 of 4", "Nobody ever said this.", "100 %", "%(name)s"):
        assert chinese.recall(sentence) == sentence


def test_a_value_may_be_a_message_too() -> None:
    inner = Message("a list")
    outer = Message("A text is needed here, not %(kind)s.", kind=inner)
    assert outer == "A text is needed here, not a list."
    chinese: Language = languages(ROOT / "app" / "locale")["zh_Hans"]
    assert chinese.say(outer) == "此处需要文本，而不是列表。"
