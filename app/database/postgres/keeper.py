"""The parent process of the embedded PostgreSQL. Run by path, with the standard library only.

    keeper.py run  JSON     become the server's account, then replace this process by a command
    keeper.py keep JSON     become the server's account, run the server until nobody needs it

It lives in a session of its own: Ctrl+C at a terminal reaches the application, never the server,
which must outlive the last commit. It watches the users' lock, which the kernel releases for every
process that ends, kill -9 included, and then stops the server (fast shutdown). A server that
crashes is started again. Should the keeper itself be killed, Linux signals the server
(PR_SET_PDEATHSIG) and it shuts down; on macOS it runs on until the next start finds and stops it.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import time
from types import FrameType
from typing import TypedDict

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
SECBIT_NO_SETUID_FIXUP = 1 << 2
SECBIT_KEEP_CAPS = 1 << 4
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522

POLL_S = 0.25
STOP_S = 60.0
QUICK_ENDS = 5


class Job(TypedDict):
    """What the keeper is asked: `user` is (uid, gid) or None to stay who we are."""

    command: list[str]
    user: tuple[int, int] | None
    capabilities: list[int]
    users_lock: str
    keeper_lock: str


def become(user: tuple[int, int], capabilities: list[int]) -> None:
    """Give up root for good, keeping at most the named Linux capabilities across exec.

    Without SECBIT_NO_SETUID_FIXUP the kernel takes all capabilities away for the length of every
    access(2) of an account that is not root, and PostgreSQL's programs ask access(2) whether they
    may be run. Raises OSError when the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True) if capabilities else None
    if libc is not None:
        bits = SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS
        _check(libc.prctl(PR_SET_SECUREBITS, bits, 0, 0, 0))
    os.setgroups([])
    os.setgid(user[1])
    os.setuid(user[0])
    if libc is None:
        return
    mask = sum(1 << number for number in capabilities)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _check(libc.capset(header, sets))
    for number in capabilities:
        _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Keeper:
    """Runs one server command until its last user is gone or SIGTERM comes."""

    def __init__(self, job: Job) -> None:
        self.command = job["command"]
        self.stopping = False
        self.child = 0
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self.users = os.open(job["users_lock"], os.O_RDWR)
        self.lock = os.open(job["keeper_lock"], os.O_RDWR)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, str(os.getpid()).encode(), 0)
        self.wake, wake_end = os.pipe()
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def run(self) -> int:
        """Returns the exit status: 0 after an ordered stop, 1 when the server would not stay up."""
        quick_ends = 0
        while not self.stopping:
            started = time.monotonic()
            self.child = self._start()
            status = self._wait_for_end()
            if self.stopping:
                return 0
            quick_ends = quick_ends + 1 if time.monotonic() - started < 60 else 1
            if quick_ends > QUICK_ENDS:
                self._say(f"PostgreSQL ended {quick_ends} times at once; giving up")
                return 1
            self._say(f"PostgreSQL ended with status {status}; starting it again")
            self._sleep(min(1.0, 0.1 * 2**quick_ends))
        return 0

    def _start(self) -> int:
        parent = os.getpid()
        child = os.fork()
        if child:
            return child
        try:
            if self.libc is not None:
                self.libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
                if os.getppid() != parent:
                    os._exit(1)
            os.execv(self.command[0], self.command)  # noqa: S606 (no shell is the point)
        except OSError as error:
            self._say(f"{self.command[0]}: {error}")
        finally:
            os._exit(127)

    def _wait_for_end(self) -> int:
        deadline = 0.0
        while True:
            ended, status = os.waitpid(self.child, os.WNOHANG)
            if ended:
                self.child = 0
                return os.waitstatus_to_exitcode(status)
            if self._unused() and not deadline:
                os.kill(self.child, signal.SIGINT)
                deadline = time.monotonic() + STOP_S
            elif deadline and time.monotonic() > deadline:
                os.kill(self.child, signal.SIGQUIT)
                deadline = time.monotonic() + STOP_S
            self._sleep(POLL_S)

    def _unused(self) -> bool:
        """True once told to stop or once the last user's lock is gone; the lock is then kept."""
        if not self.stopping:
            try:
                fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self.stopping = True
        return True

    def _sleep(self, seconds: float) -> None:
        """Until a signal comes, at most `seconds`."""
        if select.select([self.wake], [], [], seconds)[0]:
            os.read(self.wake, 512)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _say(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        os.write(2, f"{stamp} [{os.getpid()}] keeper: {text}\n".encode())


def main() -> int:
    """Do the job in argv; the exit status is the command's or the keeper's."""
    mode, job = sys.argv[1], json.loads(sys.argv[2])
    keeper = None
    if mode == "keep":
        os.setsid()
        keeper = Keeper(job)
    if job["user"] is not None:
        try:
            become(job["user"], job["capabilities"])
        except OSError as error:
            os.write(2, f"cannot become user {job['user'][0]}: {error.strerror}\n".encode())
            return 1
    if keeper is None:
        os.execv(job["command"][0], job["command"])  # noqa: S606 (no shell is the point)
    return keeper.run()


if __name__ == "__main__":
    sys.exit(main())
