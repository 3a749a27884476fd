"""Images for browsers: for those who may see a sample, with headers that keep them harmless."""

import io
import zipfile

import pytest
from PIL import Image as Pillow
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.images.store import ImageStore
from app.models import Image, SampleImage
from app.settings import Settings
from tests.http.conftest import Work, World
from tests.support.imports import lines, picture, row
from tests.support.unwritable import unwritable


@pytest.fixture
def sha256(world: World, db: Session, visitor: TestClient) -> str:
    """A stored image that the world's sample shows."""
    store: ImageStore = visitor.app.state.image_store  # type: ignore[attr-defined] # Starlette
    facts = store.add(picture("olive", size=(640, 480))).facts
    db.add(
        Image(
            sha256=facts.sha256,
            format=facts.format,
            width=facts.width,
            height=facts.height,
            size=facts.size,
        )
    )
    db.flush()
    db.add(SampleImage(sample_id=world.sample.id, position=9, sha256=facts.sha256))
    db.commit()
    return facts.sha256


def test_an_original_comes_byte_for_byte_with_its_own_type(owner: TestClient, sha256: str) -> None:
    answer = owner.get(f"/images/{sha256}/original")
    assert answer.content == picture("olive", size=(640, 480))
    assert answer.headers["content-type"] == "image/png"


def test_a_rendition_is_webp_of_its_width(owner: TestClient, sha256: str) -> None:
    answer = owner.get(f"/images/{sha256}/320.webp")
    assert answer.headers["content-type"] == "image/webp"
    with Pillow.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("WEBP", (320, 240))


def test_an_image_is_kept_by_the_browser_and_can_do_no_harm(owner: TestClient, sha256: str) -> None:
    for address in (f"/images/{sha256}/960.webp", f"/images/{sha256}/original"):
        headers = owner.get(address).headers
        assert headers["cache-control"] == "private, max-age=31536000, immutable"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        again = owner.get(address, headers={"If-None-Match": f'"x", {headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["321.webp", "0.webp", "-320.webp", "large.webp", "1920.png"])
def test_there_are_no_other_renditions(owner: TestClient, sha256: str, name: str) -> None:
    assert owner.get(f"/images/{sha256}/{name}").status_code == 404


@pytest.mark.parametrize("sha256", ["0" * 64, "..", "%2e%2e%2f", "A" * 64, "abc"])
def test_what_is_no_known_hash_is_not_found(owner: TestClient, sha256: str) -> None:
    assert owner.get(f"/images/{sha256}/original").status_code == 404


@pytest.mark.parametrize(
    ("actor", "status"),
    [
        ("other", 200),
        ("admin", 200),
        ("trainer", 200),
        ("stranger", 404),
        ("visitor", 401),
        ("expired", 401),
    ],
)
def test_an_image_is_for_those_who_may_see_a_sample(
    actor: str, status: int, request: pytest.FixtureRequest, sha256: str
) -> None:
    client: TestClient = request.getfixturevalue(actor)
    client.headers["Sec-Fetch-Dest"] = "image"
    for name in ("original", "320.webp"):
        answer = client.get(f"/images/{sha256}/{name}")
        assert answer.status_code in ({401, 303} if status == 401 else {status})


def test_a_known_tag_gives_a_stranger_nothing(stranger: TestClient, sha256: str) -> None:
    headers = {"If-None-Match": f'"{sha256}"'}
    assert stranger.get(f"/images/{sha256}/original", headers=headers).status_code == 404


def test_a_store_that_became_read_only_shows_what_it_has_and_says_so_for_the_rest(
    owner: TestClient,
    admin: TestClient,
    world: World,
    sha256: str,
    settings: Settings,
    work: Work,
) -> None:
    store = ImageStore(settings.images)
    store.rendition(sha256, "png", 320)
    (settings.images / sha256[:2] / f"{sha256}-960.webp").unlink(missing_ok=True)
    with unwritable(settings.images):
        assert owner.get(f"/images/{sha256}/original").status_code == 200
        assert owner.get(f"/images/{sha256}/320.webp").status_code == 200
        answer = owner.get(f"/images/{sha256}/960.webp")
        assert answer.status_code == 503
        assert "The server cannot read or write its files at the moment." in answer.text
        assert answer.headers["retry-after"] == "60"
        packed = zipped({"s.jsonl": lines(row(images=["a.png"])), "a.png": picture("maroon")})
        answer = admin.post(
            f"/projects/{world.project.id}/import", files={"file": ("s.zip", packed)}
        )
        work()
        page = admin.get(answer.headers["location"]).text
        assert "The files cannot be read or written: " in page
    assert owner.get(f"/images/{sha256}/960.webp").status_code == 200


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()
