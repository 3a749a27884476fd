"""The feed compressed for who takes it, and the images that its lines name."""

import gzip

import pytest
from fastapi import FastAPI

from app.models import Correction
from app.pairs import ndjson
from app.pairs.ndjson import coding_for
from tests.http.conftest import Script, World
from tests.http.feed import address, rows


def test_gzip_is_sent_to_who_takes_it(
    script: Script, world: World, three: list[Correction]
) -> None:
    client = script(world.trainer)
    plain = client.get(address(world))
    assert "content-encoding" not in plain.headers
    with client.stream("GET", address(world), headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content


def test_zstd_is_sent_to_who_likes_it_best(
    script: Script, world: World, three: list[Correction]
) -> None:
    client = script(world.trainer)
    plain = client.get(address(world))
    header = {"Accept-Encoding": "gzip, zstd"}
    with client.stream("GET", address(world), headers=header) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "zstd"
    decompress = ndjson.zstd.ZstdDecompressor().decompress  # type: ignore[attr-defined] # which module it is depends on Python
    assert decompress(raw) == plain.content


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("*", "zstd"),
        ("gzip, zstd", "zstd"),
        ("gzip, zstd;q=0.9", "gzip"),
        ("zstd;q=0, *", "gzip"),
        ("", ""),
        ("identity", ""),
        ("gzip;q=0", ""),
        ("*;q=1, gzip;q=0, zstd;q=0", ""),
        ("gzip;q=x", ""),
    ],
)
def test_accept_encoding_is_read_with_its_weights(header: str, coding: str) -> None:
    assert coding_for(header) == coding


def test_an_image_comes_as_it_was_imported(
    script: Script, world: World, three: list[Correction], app: FastAPI
) -> None:
    client = script(world.trainer)
    first = rows(client.get(address(world)).content)[0]
    for url, kind in zip(first["images"], ("png", "jpeg"), strict=True):
        response = client.get(url)
        sha256 = url.rpartition("/")[2]
        assert response.content == app.state.image_store.original(sha256, kind).read_bytes()
        assert response.headers["content-type"] == f"image/{kind}"
        assert response.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert response.headers["x-content-type-options"] == "nosniff"
        again = client.get(url, headers={"If-None-Match": response.headers["etag"]})
        assert again.status_code == 304
        about = client.head(url)
        assert (about.status_code, about.content) == (200, b"")
        assert about.headers["content-length"] == str(len(response.content))


@pytest.mark.parametrize("sha256", ["x", "..%2f..%2fetc%2fpasswd", "0" * 64, "%00"])
def test_what_is_no_image_is_not_found(script: Script, world: World, sha256: str) -> None:
    assert script(world.trainer).get(f"/api/v1/images/{sha256}").status_code == 404
