"""One decoder as the app sees it: started, asked, watched, ended."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

import app
from app.images.decoding.limits import NO_ROOM, ROOM, ROOM_ALONE, WALL_S
from app.images.decoding.wire import WireError, receive_head, send

_LOOK_S = 0.1
# A decoder that has closed its end of the line ends within this time, in seconds.
_LEAVE_S = 5.0
# Memory of a decoder before it has done anything, in bytes.
_IDLE = 64 * 2**20
# Not the environment as a whole: it holds the studio's secrets.
_ENVIRONMENT = (
    "DYLD_FALLBACK_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
)


class DecoderGone(Exception):  # noqa: N818 - it says what happened
    """The decoder ended while it worked. Subclasses say why."""


class OutOfMemory(DecoderGone):
    """It needed more than it may have."""


class OutOfTime(DecoderGone):
    """It worked for longer than it may."""


class Crashed(DecoderGone):
    """It ended for no reason that we gave it."""


class Retired(DecoderGone):
    """It had ended before it read the request, as decoders without work do."""


class Decoder:
    """A decoder process. One request at a time."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        package = str(Path(app.__path__[0]).parent)
        # One heap instead of one a thread: address space is what is limited.
        environment |= {"PYTHONPATH": package, "MALLOC_ARENA_MAX": "1", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            # -P: a file named PIL.py in the working directory is not ours.
            [sys.executable, "-P", "-m", "app.images.decoding.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # Ctrl-C is for the app; a decoder ends when the app does.
            start_new_session=True,
        )
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._room = ROOM
        self._since = 0.0
        self._heard = False

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def ask(
        self, head: dict[str, Any], *parts: bytes, alone: bool
    ) -> tuple[dict[str, Any], list[bytes]]:
        """The answer to a request. alone: it may take the memory of all.

        Raises a kind of DecoderGone; the decoder is of no use then.
        """
        self._room = ROOM_ALONE if alone else ROOM
        self._since = time.monotonic()
        self._heard = False
        try:
            assert self._process.stdin is not None  # noqa: S101 - it is a pipe
            send(self._process.stdin, {**head, "alone": alone}, *parts)
            answer, lengths = receive_head(self._read)
            blobs = [self._read(length) for length in lengths]
        except (OSError, EOFError):
            raise self._why() from None
        except WireError:
            self.end()
            raise Crashed("It answered what was not agreed.") from None
        except BaseException:
            self.end()
            raise
        if answer.get("memory"):
            self.end()
            raise OutOfMemory
        if "failed" in answer:
            self.end()
            raise Crashed(str(answer["failed"]))
        return answer, blobs

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            while not self._selector.select(_LOOK_S):
                self._look()
            assert self._process.stdout is not None  # noqa: S101 - it is a pipe
            part = os.read(self._process.stdout.fileno(), min(count - len(data), 2**20))
            if not part:
                raise EOFError
            self._heard = True
            data += part
        return bytes(data)

    def _look(self) -> None:
        """End a decoder that takes too much; the system's own limits are not the same everywhere"""
        if time.monotonic() - self._since > WALL_S:
            raise OutOfTime
        try:
            used = psutil.Process(self.pid).memory_info().rss
        except psutil.Error:
            return
        if used > self._room + _IDLE:
            raise OutOfMemory

    def _why(self) -> DecoderGone:
        """Why the decoder is gone; waits for it."""
        deadline = time.monotonic() + _LEAVE_S
        while not (ended := os.wait4(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.005)
        _, status, usage = ended
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        said = self._process.stderr.read().decode(errors="replace")
        self._close()
        if code == 1:
            raise RuntimeError(f"The decoder of images does not start: {said.strip()[-2000:]}")
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        if code == -signal.SIGXCPU:
            return OutOfTime()
        if code == 0 and not self._heard:
            return Retired()
        # A library that gets no memory ends the process in its own way.
        if code == NO_ROOM or peak > self._room // 2:
            return OutOfMemory()
        return Crashed(f"It ended with {code}.")

    def _close(self) -> None:
        self._selector.close()
        for file in (self._process.stdin, self._process.stdout, self._process.stderr):
            # What was not sent has nobody to read it.
            with contextlib.suppress(OSError):
                if file is not None:
                    file.close()
