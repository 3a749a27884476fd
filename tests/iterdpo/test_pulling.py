"""A pull to a file: killed anywhere and started again, it has the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iterdpo.pulling import RESUMABLE_S, finished, pull
from iterdpo.refusals import TrainingRefusal
from iterdpo.studio import Studio
from tests.iterdpo.breaking import TOKEN, Fake, serving, some_pairs

# A process of its own, to be killed.
PULL = """
import sys
from pathlib import Path
from iterdpo.studio import Studio
from iterdpo.pulling import pull

with Studio(sys.argv[1], sys.argv[2]) as studio:
    pull(studio, "lectures", Path(sys.argv[3]), page=50)
"""


def pulled(fake: Fake, place: Path, **filters: str) -> Path:
    with Studio(fake.url, TOKEN) as studio:
        return pull(studio, "lectures", place, page=50, filters=filters).path


@pytest.mark.parametrize("seed", range(3))
def test_killed_and_started_again_it_has_the_same_bytes(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    # Enough for several blocks of the file's buffer to be on disk when the kill comes.
    fake = Fake(some_pairs(900), pause_s=0.0005)
    with serving(fake):
        for _ in range(3):
            process = subprocess.Popen([sys.executable, "-c", PULL, fake.url, TOKEN, tmp_path])
            wanted = (_part(tmp_path) or 0) + rng.randrange(1, 60_000)
            deadline = time.monotonic() + 30
            while (_part(tmp_path) or 0) < wanted and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
        fake.pause_s = 0
        cursors = [path for path in fake.asked if "after=0" not in path]
        assert pulled(fake, tmp_path).read_bytes() == fake.whole()
    assert cursors
    assert [path.suffix for path in tmp_path.iterdir()] == [".jsonl"]


def _part(place: Path) -> int | None:
    return next((path.stat().st_size for path in place.glob("*.part")), None)


def test_a_line_that_was_cut_by_the_kill_is_fetched_again(tmp_path: Path) -> None:
    with serving(Fake(some_pairs(10))) as fake:
        path = pulled(fake, tmp_path)
        whole = path.read_bytes()
        part = path.with_suffix(".part")
        part.write_bytes(whole[: len(whole) // 2])
        path.unlink()
        with Studio(fake.url, TOKEN) as studio:
            again = pull(studio, "lectures", tmp_path, page=50)
        assert again.resumed
        assert again.pairs == 10
        assert again.path.read_bytes() == whole
        assert finished(path).sha256 == again.sha256


def test_a_finished_pull_begins_anew(tmp_path: Path) -> None:
    with serving(Fake(some_pairs(10))) as fake:
        pulled(fake, tmp_path)
        # One was taken back meanwhile: it must not stay.
        del fake.pairs[4]
        assert pulled(fake, tmp_path).read_bytes() == fake.whole()


def test_what_an_old_pull_left_is_not_trusted(tmp_path: Path) -> None:
    with serving(Fake(some_pairs(10))) as fake:
        path = pulled(fake, tmp_path)
        part = path.with_suffix(".part")
        path.rename(part)
        long_ago = time.time() - RESUMABLE_S - 60
        os.utime(part, (long_ago, long_ago))
        del fake.pairs[0]
        assert pulled(fake, tmp_path).read_bytes() == fake.whole()


def test_other_filters_are_another_file(tmp_path: Path) -> None:
    with serving(Fake(some_pairs(2))) as fake:
        assert pulled(fake, tmp_path) != pulled(fake, tmp_path, kind="insert")


def test_two_at_once_do_not_write_into_each_other(tmp_path: Path) -> None:
    with serving(Fake(some_pairs(400), pause_s=0.002)) as fake:
        process = subprocess.Popen([sys.executable, "-c", PULL, fake.url, TOKEN, tmp_path])
        while _part(tmp_path) is None:
            time.sleep(0.005)
        with pytest.raises(TrainingRefusal, match="Another process"):
            pulled(fake, tmp_path)
        assert process.wait(60) == 0
        (path,) = tmp_path.glob("*.jsonl")
        assert path.read_bytes() == fake.whole()


def test_a_pair_that_came_back_during_the_pull_is_there_once(tmp_path: Path) -> None:
    # Taken back and brought back between two pages: it stands at the end again, under its own id.
    pairs = some_pairs(6)
    fake = Fake([*pairs, pairs[1] | {"cursor": 99}])
    with serving(fake), Studio(fake.url, TOKEN) as studio:
        found = pull(studio, "lectures", tmp_path, page=3)
    assert found.pairs == 6
    assert [pair["pair_id"] for pair in found.rows()] == list("123456")
    assert finished(found.path).pairs == 6
