"""The client for trainers: every pair once and whole, whatever the connection does."""

import hashlib
import io
import random
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from PIL import Image

from iterdpo import load_pairs, stream_pairs
from iterdpo.images import ImageCache
from iterdpo.refusals import StudioRefusal
from iterdpo.retrying import LONGEST_ASKED_S, asked_wait_s
from iterdpo.studio import Studio
from tests.iterdpo.breaking import TOKEN, Fake, picture_bytes, serving, some_pairs


def nap(_seconds: float) -> None:
    """Waits for nothing."""


def studio(fake: Fake, *, attempts: int = 5, sleep: Callable[[float], None] = nap) -> Studio:
    return Studio(fake.url, TOKEN, attempts=attempts, sleep=sleep, timeout_s=10)


@pytest.mark.parametrize("page", [1, 7, 1000])
def test_pairs_come_page_by_page_each_once(page: int) -> None:
    with serving(Fake(some_pairs(20))) as fake, studio(fake) as client:
        assert list(client.pairs("lectures", page=page)) == fake.pairs


@pytest.mark.parametrize("seed", range(12))
def test_a_connection_that_breaks_anywhere_loses_and_repeats_nothing(seed: int) -> None:
    rng = random.Random(seed)
    fake = Fake(some_pairs(40))
    size = len(fake.whole())
    fake.cuts = [rng.randrange(1, size // 6) for _ in range(12)]
    with serving(fake), studio(fake, attempts=30) as client:
        assert b"".join(client.pair_lines("lectures", page=15)) == fake.whole()
    assert len(fake.asked) > 6


def test_a_line_is_handed_out_only_when_it_is_whole() -> None:
    fake = Fake(some_pairs(2))
    # In the middle of a character of the second line.
    fake.cuts = [fake.whole().rindex("好".encode()) + 1]
    with serving(fake), studio(fake) as client:
        assert list(client.pairs("lectures")) == fake.pairs


def test_it_goes_on_from_a_cursor() -> None:
    with serving(Fake(some_pairs(5))) as fake, studio(fake) as client:
        assert [pair["pair_id"] for pair in client.pairs("lectures", after=6)] == ["3", "4", "5"]


def test_progress_renews_the_patience() -> None:
    fake = Fake(some_pairs(30))
    each = len(fake.whole()) // 30
    # Every connection brings at least a line: 15 breaks are no five failures in a row.
    fake.cuts = [2 * each + 40] * 12
    with serving(fake), studio(fake, attempts=3) as client:
        assert len(list(client.pairs("lectures"))) == 30


def test_it_gives_up_with_the_reason() -> None:
    fake = Fake([], answers=[(503, {})] * 9)
    with serving(fake), studio(fake, attempts=4) as client:
        with pytest.raises(StudioRefusal, match=r"answered 503: Not now\. \(4 attempts") as refusal:
            list(client.pairs("lectures"))
        assert refusal.value.status == 503
    assert len(fake.asked) == 4


def test_nobody_there_is_a_refusal_too() -> None:
    with (
        Studio("http://127.0.0.1:9", TOKEN, attempts=2, sleep=nap) as client,
        pytest.raises(StudioRefusal, match=r"127\.0\.0\.1:9.*2 attempts"),
    ):
        list(client.pairs("lectures"))


def test_it_waits_as_long_as_the_server_asks() -> None:
    waits: list[float] = []
    fake = Fake(some_pairs(1), answers=[(429, {"Retry-After": "7"}), (503, {}), (502, {})])
    with serving(fake), studio(fake, sleep=waits.append) as client:
        assert len(list(client.pairs("lectures"))) == 1
    assert waits[0] == 7
    # Then by itself, longer each time.
    assert 0.5 <= waits[1] <= 1 <= waits[2] <= 2


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("12", 12),
        ("0", 0),
        ("99999999", LONGEST_ASKED_S),
        ("Wed, 25 Nov 2026 08:00:30 GMT", 30),
        ("Wed, 25 Nov 2026 07:00:00 GMT", 0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str, wait_s: float | None) -> None:
    now = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    assert asked_wait_s(httpx.Response(503, headers={"Retry-After": header}), now) == wait_s


def test_a_no_is_final_and_says_what_was_wrong() -> None:
    with serving(Fake(some_pairs(1))) as fake, Studio(fake.url, "idp_wrong", sleep=nap) as client:
        with pytest.raises(StudioRefusal, match="401: This API token is unknown") as refusal:
            list(client.pairs("lectures"))
        assert refusal.value.status == 401
        assert len(fake.asked) == 1


def test_filters_are_parameters_by_their_names() -> None:
    with serving(Fake([])) as fake, studio(fake) as client:
        list(
            client.pairs(
                "lectures",
                on_policy=True,
                since=date(2026, 11, 1),
                kind=["rewrite", "insert"],
                annotator=None,
                min_edit=3,
            )
        )
        assert parse_qs(urlsplit(fake.asked[0]).query) == {
            "project": ["lectures"],
            "limit": ["10000"],
            "after": ["0"],
            "on_policy": ["true"],
            "since": ["2026-11-01"],
            "kind": ["rewrite", "insert"],
            "min_edit": ["3"],
        }


def test_the_token_goes_to_the_studio_alone(tmp_path: Path) -> None:
    images = picture_bytes("one")
    # Pairs name images, and Link the next page, on another host.
    with serving(Fake(some_pairs(3, images), images)) as fake, studio(fake) as client:
        pairs = list(client.pairs("lectures", page=2))
        (sha256,) = images
        assert pairs[0]["images"] == [f"https://elsewhere.example/api/v1/images/{sha256}"]
        assert client.image(sha256, ImageCache(tmp_path)).read_bytes() == b"one"


def test_an_image_is_fetched_once_and_checked_at_every_use(tmp_path: Path) -> None:
    images = picture_bytes("one")
    (sha256,) = images
    cache = ImageCache(tmp_path)
    with serving(Fake([], images)) as fake, studio(fake) as client:
        path = client.image(sha256, cache)
        assert client.image(sha256, cache) == path
        assert len(fake.asked) == 1
        path.write_bytes(b"onf")
        assert client.image(sha256, cache).read_bytes() == b"one"
        assert len(fake.asked) == 2


def test_an_image_that_arrives_damaged_is_asked_for_again(tmp_path: Path) -> None:
    (sha256,) = picture_bytes("one")
    fake = Fake([], {sha256: b"other bytes"})
    with (
        serving(fake),
        studio(fake, attempts=3) as client,
        pytest.raises(StudioRefusal, match="damaged"),
    ):
        client.image(sha256, ImageCache(tmp_path))
    assert len(fake.asked) == 3
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_image_that_breaks_off_is_fetched_whole(tmp_path: Path) -> None:
    images = picture_bytes("a longer picture")
    (sha256,) = images
    with serving(Fake([], images, cuts=[5, 9])) as fake, studio(fake) as client:
        assert client.image(sha256, ImageCache(tmp_path)).read_bytes() == images[sha256]
        assert len(fake.asked) == 3


def test_many_at_once_share_a_cache(tmp_path: Path) -> None:
    images = picture_bytes(*map(str, range(20)))
    with serving(Fake([], images)) as fake, studio(fake) as client:
        cache = ImageCache(tmp_path)
        threads = [
            threading.Thread(target=client.images, args=([*images], cache)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == images
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in kept.items())


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_a_name_that_is_no_sha256_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no SHA-256"):
        ImageCache(tmp_path).path(name)


def test_the_streaming_form_is_a_plain_loop() -> None:
    with serving(Fake(some_pairs(4))) as fake:
        pairs = stream_pairs(fake.url, TOKEN, "lectures", after=3)
        assert next(pairs)["pair_id"] == "2"
        pairs.close()


def test_pairs_as_a_dataset(tmp_path: Path) -> None:
    png = (Path(__file__).parents[2] / "docs" / "screenshot.png").read_bytes()
    sha256 = hashlib.sha256(png).hexdigest()
    fake = Fake(some_pairs(5, {sha256: png}), {sha256: png})
    with serving(fake):
        dataset = load_pairs(fake.url, TOKEN, "lectures", cache=tmp_path)
        assert dataset.num_rows == 5
        assert dataset[0]["chosen"] == fake.pairs[0]["chosen"]
        assert dataset[0]["policy"] is None
        assert dataset[4]["images"][0].size[0] > 100
        # What came since is there the next time; nothing old is taken for it.
        fake.pairs.append(fake.pairs[0] | {"pair_id": "9", "cursor": 99, "chosen": "Best."})
        assert load_pairs(fake.url, TOKEN, "lectures", cache=tmp_path)[5]["pair_id"] == "9"
    assert sum("/images/" in path for path in fake.asked) == 1
    # Kept once, not once a row.
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 2 * len(png) + 200_000


def rendered(pair: dict[str, Any]) -> dict[str, Any]:
    """The pair as the feed sends it with format=trl."""
    return {
        "images": pair["images"],
        "prompt": f"rendered {pair['instruction']}{pair['prefix']}",
        "chosen": pair["chosen"],
        "rejected": pair["rejected"],
        "pair_id": pair["pair_id"],
        "segment": pair["position"] + 1,
        "is_last": pair["ends_output"],
        "n_images": len(pair["images"]),
        "instruction": pair["instruction"],
        "prefix": pair["prefix"],
        "segment_chosen": pair["chosen"],
        "segment_rejected": pair["rejected"],
        "kind": "rewrite",
        "on_policy": True,
        "annotator": "lin",
        "policy": "",
        "created_at": pair["created_at"],
        "cursor": pair["cursor"],
    }


def test_rows_for_trl_come_with_images_that_can_be_opened(tmp_path: Path) -> None:
    file = io.BytesIO()
    deep = Image.new("I;16", (64, 48))
    deep.putdata([x * 900 for _ in range(48) for x in range(64)])
    deep.save(file, "PNG")
    sha256 = hashlib.sha256(file.getvalue()).hexdigest()
    pairs = [rendered(pair) for pair in some_pairs(4, {sha256: b""})]
    again = pairs[0] | {"pair_id": "9", "cursor": 99}
    with serving(Fake([*pairs, again], {sha256: file.getvalue()})) as fake:
        dataset = load_pairs(fake.url, TOKEN, "lectures", format="trl", cache=tmp_path)
        assert parse_qs(urlsplit(fake.asked[0]).query)["format"] == ["trl"]
        assert dataset["pair_id"] == ["1", "2", "3", "4"]
        assert dataset[1]["prompt"] == pairs[1]["prompt"]
        # 16 bits a channel, which trainers would clip to white.
        shown = dataset[0]["images"][0].convert("RGB")
        assert [shown.getpixel((x, 5))[0] for x in (0, 32, 63)] == [0, 112, 221]
        whole = load_pairs(
            fake.url, TOKEN, "lectures", format="trl", cache=tmp_path, allow="duplicate"
        )
        assert whole["pair_id"] == ["1", "2", "3", "4", "9"]
    with pytest.raises(StudioRefusal, match="raw or trl, not ms-swift"):
        load_pairs("http://x.example", TOKEN, "lectures", format="ms-swift")
