"""Decoders: child processes that read what users send, with limits, and leave nothing behind."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image as Pillow

from app.images.decoding import pool
from app.images.decoding.limits import ROOM, ROOM_ALONE
from app.images.decoding.process import Crashed, Decoder, OutOfMemory, Retired
from app.refusals import Invalid
from app.settings import ROOT
from tests.support.imports import DECK, nested_forms, picture

MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def file_of(image: Pillow.Image, kind: str, **options: bool | int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def large(kind: str = "PNG") -> bytes:
    """64 million pixels."""
    return file_of(Pillow.new("RGB", (8000, 8000), "teal"), kind)


def peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder()
    yield made
    made.end()


@pytest.fixture
def decks(tmp_path: Path) -> Path:
    path = tmp_path / "deck.pdf"
    path.write_bytes(nested_forms())
    return path


@pytest.mark.parametrize(
    ("mode", "most"), [("I;16", 700), ("RGBA", 500), ("LA", 600), ("1", 200)], ids=str
)
@linux
def test_an_image_costs_what_its_pixels_cost(decoder: Decoder, mode: str, most: int) -> None:
    """64 million pixels of 16 bits took 1.3 GB."""
    data = file_of(Pillow.new(mode, (8000, 8000)), "PNG")
    assert len(data) < MIB
    head = {"verb": "picture", "widths": [320], "max_megapixels": 64}
    answer, _ = decoder.ask(head, data, alone=True)
    assert answer["width"] == 8000
    assert peak(decoder.pid) < most * MIB


@linux
def test_without_the_room_of_all_an_image_has_a_quarter_of_it(decoder: Decoder) -> None:
    head = {"verb": "picture", "widths": [320], "max_megapixels": 64}
    with pytest.raises(OutOfMemory):
        decoder.ask(head, large(), alone=False)


def test_a_page_that_takes_too_much_ends_its_decoder(decks: Path) -> None:
    decoder = Decoder()
    head = {"verb": "page", "path": str(decks), "index": 0, "page_width": 1600, "widths": [320]}
    assert decoder.ask({"verb": "deck", "path": str(decks)}, alone=False)[0]["pages"] == 1
    with pytest.raises(OutOfMemory):
        decoder.ask(head, alone=True)
    assert not psutil.pid_exists(decoder.pid)


def test_what_takes_too_much_is_refused_in_a_sentence_and_the_next_is_drawn(decks: Path) -> None:
    with pytest.raises(pool.Costly, match=r"^It takes more than 1,024 MiB of memory to decode"):
        pool.page(decks, 0, widths=[320])
    assert pool.page(DECK, 0, widths=[320]).width == 1600


def test_one_large_image_is_decoded_at_a_time() -> None:
    data = large()
    seen: set[int] = set()
    done = threading.Event()

    def look() -> None:
        this = psutil.Process()
        while not done.wait(0.005):
            big = 0
            for child in this.children():
                try:
                    big += child.memory_info().rss > 200 * MIB
                except psutil.Error:
                    continue
            seen.add(big)

    watcher = threading.Thread(target=look)
    watcher.start()
    threads = [threading.Thread(target=lambda: pool.renditions(data, [320])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    assert seen == {0, 1}


def test_a_webp_that_cannot_fit_is_refused_before_it_is_opened() -> None:
    with pytest.raises(pool.Costly, match="memory"):
        pool.picture(large("WEBP"), widths=[320], max_megapixels=64)


def test_the_limit_is_below_what_it_says() -> None:
    assert ROOM * 4 == ROOM_ALONE == 1024 * MIB


def test_a_decoder_that_is_killed_at_rest_is_replaced() -> None:
    pool.picture(picture(), widths=[320], max_megapixels=64)
    for child in psutil.Process().children():
        if "app.images.decoding.child" in child.cmdline():
            child.kill()
    assert pool.picture(picture(), widths=[320], max_megapixels=64).width == 64


def test_a_decoder_that_ended_at_rest_says_so() -> None:
    decoder = Decoder()
    process = psutil.Process(decoder.pid)
    decoder._process.stdin.close()  # type: ignore[union-attr]
    process.wait(10)
    with pytest.raises((Retired, ValueError)):
        decoder.ask({"verb": "header", "max_megapixels": 64}, picture(), alone=False)


def test_an_answer_that_was_not_agreed_is_no_answer(decoder: Decoder) -> None:
    with pytest.raises(Crashed):
        decoder.ask({"verb": "nothing"}, alone=False)


def test_decoders_end_with_the_app_that_is_killed(decks: Path) -> None:
    """Also in the middle of a page, and at rest."""
    program = (
        "import sys, threading, time\n"
        "from app.images.decoding.process import Decoder\n"
        "idle, busy = Decoder(), Decoder()\n"
        "idle.ask({'verb': 'deck', 'path': sys.argv[1]}, alone=False)\n"
        "head = {'verb': 'page', 'path': sys.argv[1], 'index': 0, 'page_width': 6000,"
        " 'widths': [320]}\n"
        "threading.Thread(target=busy.ask, args=(head,), kwargs={'alone': True}).start()\n"
        "print(idle.pid, busy.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(decks)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as app:
        assert app.stdout is not None
        pids = [int(word) for word in app.stdout.readline().split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        os.kill(app.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@linux
def test_a_decoder_knows_no_secret_and_writes_no_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret@db/x")
    monkeypatch.setenv("ITERDPO_VLLM_API_KEY", "secret")
    decoder = Decoder()
    try:
        decoder.ask({"verb": "header", "max_megapixels": 64}, picture(), alone=False)
        environment = Path(f"/proc/{decoder.pid}/environ").read_bytes()
        limits = Path(f"/proc/{decoder.pid}/limits").read_text()
    finally:
        decoder.end()
    assert b"secret" not in environment
    assert any(
        line.split()[3:5] == ["0", "0"] for line in limits.splitlines() if "file size" in line
    )


@pytest.mark.parametrize("module", ["app.main", "worker.__main__", "app.cli.import_"])
def test_the_app_itself_has_nothing_that_decodes(module: str) -> None:
    program = f"import sys, {module}; print({{'PIL', 'pypdfium2'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_refusal_of_a_decoder_can_be_said_in_another_language() -> None:
    with pytest.raises(Invalid) as refusal:
        pool.picture(picture(size=(27, 400)), widths=[320], max_megapixels=64)
    message = refusal.value.message
    assert message.msgid.startswith("The image has %(width)s")
    assert message.values == {"width": 27, "height": 400, "least": 28}
