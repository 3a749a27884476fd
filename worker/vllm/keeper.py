"""The parent process of a vLLM server. Run by path, with the standard library only.

    keeper.py [NAME=VALUE ...] PROGRAM [ARGUMENT ...]

It runs the program in a process group of its own and ends when it ends. Its standard input is a
pipe that the worker holds: when the worker is gone, kill -9 included, the kernel closes it, and
the keeper stops the server and everything that the server has started. vLLM's engine processes
hold the GPU's memory; one that outlived its server would leave no room for the next one.
Should the keeper itself be killed, Linux signals the server (PR_SET_PDEATHSIG) and it shuts down.
"""

import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

STOP_S = 15.0
POLL_S = 0.25


class Keeper:
    """Runs one program until it ends, or until nobody wants it any more."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.command = command
        self.environment = environment
        self.stopping = False
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        if self.libc is not None:
            # What the program leaves behind becomes ours, and can be ended.
            self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.wake, wake_end = os.pipe()
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def run(self) -> int:
        """The exit status of the program; 128 and the signal's number if one ended it."""
        child = self._start()
        status: int | None = None
        deadline = 0.0
        while status is None:
            self._wait()
            status = self._reap(child)
            if status is None and self.stopping:
                if not deadline:
                    _signal_group(child, signal.SIGTERM)
                    deadline = time.monotonic() + STOP_S
                elif time.monotonic() > deadline:
                    _signal_group(child, signal.SIGKILL)
        self._end_leftovers(child)
        return status if status >= 0 else 128 - status

    def _start(self) -> int:
        parent = os.getpid()
        child = os.fork()
        if child:
            return child
        try:
            os.setpgid(0, 0)
            if self.libc is not None:
                self.libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
                if os.getppid() != parent:
                    os._exit(1)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.environ.update(self.environment)
            os.execvp(self.command[0], self.command)  # noqa: S606 (no shell is the point)
        except OSError as error:
            os.write(2, f"{self.command[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(127)

    def _wait(self) -> None:
        """Until a signal comes, the worker goes, or a moment has passed."""
        watched = [self.wake] if self.stopping else [self.wake, 0]
        ready = select.select(watched, [], [], POLL_S)[0]
        if self.wake in ready:
            os.read(self.wake, 512)
        if 0 in ready and not os.read(0, 512):
            self.stopping = True

    def _reap(self, child: int) -> int | None:
        """Collect whatever has ended; the status of the program once it has."""
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == child:
                found = os.waitstatus_to_exitcode(status)

    def _end_leftovers(self, group: int) -> None:
        """End what the program has started and left running, in its group or out of it."""
        _signal_group(group, signal.SIGKILL)
        deadline = time.monotonic() + STOP_S
        while time.monotonic() < deadline:
            children = _children()
            for pid in children:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self._reap(0)
            if not children:
                return
            time.sleep(0.02)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # All of it has ended; macOS says the second for a group of zombies.
        return


def _children() -> list[int]:
    """The processes whose parent we are; empty where the system does not tell."""
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        found += [int(pid) for pid in task.read_text().split()]
    return found


def main() -> int:
    """Run what argv says."""
    words = sys.argv[1:]
    environment = {}
    while words and "=" in words[0] and not words[0].startswith(("/", "-", ".")):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    return Keeper(words, environment).run()


if __name__ == "__main__":
    sys.exit(main())
