# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""The keeper of one run: a container beside the algorithm's. Standard library only; run with ``python3 -I -S``.

It shares three folders with the run's pod: what the service wrote (``control``), what it keeps for the service
(``kept``, which no algorithm can see), and what the run may write (``scratch``). It reads the algorithm's output from a
named pipe, keeps the time limit, passes on the wish to stop, and copies regular files out when the run is over. It is
the same user as the algorithm but shares no process namespace with it, so neither can touch the other's processes.

``taken`` is made by the first keeper of a run, so that a second pod of the same run never starts anything; ``pod``
tells which pod took it. ``begun`` is made right before the algorithm is started, by the keeper, or by the service that
gives up on the run: who makes it decides.
"""

import json
import os
import select
import signal
import stat
import sys
import time

_CHUNK = 1 << 16
_TICK_SECONDS = 0.1
_STUCK_SECONDS = 5.0
_RECORD_BYTES = 4096
_MAX_DEPTH = 64
_MOST = 255
_FULL = b"\n[the log is full: the rest was dropped]\n"


class Log:
    """The captured output: capped, with a line that says so."""

    def __init__(self, place, limit):
        self._descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self._left = limit
        self._note = b""

    def write(self, part):
        """Keep what still fits."""
        kept = part[: self._left]
        if len(kept) < len(part):
            self._note = _FULL
        self._left -= len(kept)
        try:
            if kept:
                os.write(self._descriptor, kept)
        except OSError:
            self._left = 0

    def close(self):
        """Say what was dropped, and let go."""
        try:
            if self._note:
                os.write(self._descriptor, self._note)
        except OSError:
            pass
        os.close(self._descriptor)


class Keeper:
    """One run."""

    def __init__(self, control, kept, scratch):
        self.control, self.kept, self.scratch = control, kept, scratch
        with open(f"{control}/order.json") as file:
            self.order = json.load(file)
        self.pipes = f"{scratch}/pipes"
        self.started_at = None
        self.code = None
        self.ended_by = ""
        self.failure = ""
        self.kill_at = None
        self.stuck_at = None
        self.removed = False
        self.news = b""

    def keep(self):
        """Own the run from its start to the record of its end; give the exit code of this process."""
        os.umask(self.order["umask"])
        os.makedirs(self.pipes, exist_ok=True)
        try:
            os.mkdir(f"{self.kept}/taken")
            self._put("pod", json.dumps(os.environ.get("COVE_POD", "")))
            # Its blocks are there from the beginning, so that it can be written on a full disk.
            record = os.open(f"{self.kept}/end.tmp", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            os.write(record, b" " * _RECORD_BYTES)
        except OSError:
            self._refuse()
            return 3
        if os.path.exists(f"{self.kept}/begun"):
            self._refuse()
            return 0
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # the pod is being deleted: the run is lost
        self._make_pipes()
        if not self._begin():
            return 0
        self._watch()
        return self._finish(record)

    def _put(self, name, text):
        place = f"{self.kept}/{name}"
        with open(f"{place}.new", "w") as file:
            file.write(text)
        os.rename(f"{place}.new", place)

    def _refuse(self):
        with open(f"{self.pipes}/refused", "w"):
            pass

    def _make_pipes(self):
        for name in ("log", "news", "asks.new"):
            os.mkfifo(f"{self.pipes}/{name}", 0o666)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self.out = os.open(f"{self.pipes}/log", os.O_RDONLY | flags)
        self.told = os.open(f"{self.pipes}/news", os.O_RDWR | flags)
        self.asks = os.open(f"{self.pipes}/asks.new", os.O_RDWR | flags)
        os.rename(f"{self.pipes}/asks.new", f"{self.pipes}/asks")  # the algorithm's container waits for this name

    def _begin(self):
        """Wait until the algorithm's container is there; False when the run is over before it began."""
        poll = select.poll()
        poll.register(self.told, select.POLLIN)
        while b"start\n" not in self.news:
            if poll.poll(_TICK_SECONDS * 1000):
                self.news += os.read(self.told, _CHUNK)
        try:
            os.mkdir(f"{self.kept}/begun")
        except OSError:
            self._ask("skip")
            return False
        self.started_at = time.time()
        self._put("started", repr(self.started_at))
        self._ask("go")
        return True

    def _watch(self):
        """Read the log until nobody can write to it any more: until the container is over."""
        log = Log(f"{self.kept}/log", self.order["log_bytes"])
        limit = time.monotonic() + self.order["seconds"]
        poll = select.poll()
        poll.register(self.out, select.POLLIN)
        poll.register(self.told, select.POLLIN)
        while True:
            ready = dict(poll.poll(_TICK_SECONDS * 1000))
            if self.told in ready:
                self.news = (self.news + os.read(self.told, _CHUNK))[-_CHUNK:]
            if self.out in ready:
                part = os.read(self.out, _CHUNK)
                if not part:
                    break
                log.write(part)
            if not self._keep_time(limit):
                break
        log.close()
        for line in self.news.splitlines():
            word, _, value = line.partition(b" ")
            if word == b"end" and value.isdigit() and int(value) <= _MOST:
                self.code = int(value)

    def _keep_time(self, limit):
        """Pass on wishes and limits; False when the run does not end whatever it was told."""
        now = time.monotonic()
        if self.stuck_at is not None:
            return now < self.stuck_at
        if os.path.exists(f"{self.control}/kill"):
            self.removed = True
            self.kill_at = now
        if self.kill_at is not None:
            if now >= self.kill_at:
                self._ask("kill")
                self.stuck_at = now + _STUCK_SECONDS
            return True
        grace = self._wished()
        if grace is not None:
            self._ask_to_end("stopped", grace)
        elif now >= limit:
            self._ask_to_end("time_limit", self.order["grace"])
        return True

    def _wished(self):
        try:
            with open(f"{self.control}/cancel") as file:
                return float(file.read())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return self.order["grace"]

    def _ask_to_end(self, why, grace):
        self.ended_by = why
        self.kill_at = time.monotonic() + grace
        self._ask("term")

    def _ask(self, word):
        try:
            os.write(self.asks, word.encode() + b"\n")
        except BlockingIOError:  # the algorithm filled the pipe: it is ended from outside then
            return

    def _finish(self, record):
        left_out = []
        detail = ""
        try:
            for name in () if self.removed else ("outputs", "logs"):
                self._copy(name, left_out)
        except OSError as problem:
            remove(self.kept, ("outputs", "logs"))
            if not self.failure:
                self.failure = "no_space" if problem.errno in (28, 122) else "sandbox"
                detail = "The provider has no space left." if self.failure == "no_space" else "The outputs were lost."
        facts = {
            "code": self.code,
            "started_at": self.started_at,
            "finished_at": time.time(),
            "ended_by": self.ended_by,
            "failure": self.failure,
            "detail": detail,
            "stuck": self.stuck_at is not None and time.monotonic() >= self.stuck_at,
            "left_out": left_out[:20],
        }
        text = json.dumps(facts).encode()
        while len(text) > _RECORD_BYTES and facts["left_out"]:
            facts["left_out"].pop()
            text = json.dumps(facts).encode()
        os.pwrite(record, text.ljust(_RECORD_BYTES), 0)
        os.fsync(record)
        os.rename(f"{self.kept}/end.tmp", f"{self.kept}/end.json")
        return 0

    def _copy(self, name, left_out):
        try:
            source = _open_folder(f"{self.scratch}/{name}")
        except OSError:
            return
        if os.listdir(source):
            os.mkdir(f"{self.kept}/{name}")
            into = os.open(f"{self.kept}/{name}", os.O_RDONLY | os.O_DIRECTORY)
            copy_folder(source, into, 0, left_out, [self.order["disk_bytes"]])


def copy_folder(source, into, depth, left_out, budget):
    """Copy regular files by their descriptors, never following a link; name the rest in ``left_out``."""
    for name in os.listdir(source):
        try:
            facts = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode) and depth < _MAX_DEPTH:
                below = _open_folder(name, source)
            elif stat.S_ISREG(facts.st_mode) and facts.st_size <= budget[0]:
                below = _open_file(name, source)
            else:
                left_out.append(ascii(name)[:100])
                continue
        except OSError:
            left_out.append(ascii(name)[:100])
            continue
        if stat.S_ISDIR(facts.st_mode):
            os.mkdir(name, dir_fd=into)
            target = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=into)
            copy_folder(below, target, depth + 1, left_out, budget)
        else:
            budget[0] -= facts.st_size
            target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=into)
            _copy_file(below, target, facts.st_size)
        os.close(below)
        os.close(target)


def _open_folder(name, top=None):
    """Open a folder whatever mode its owner, this user, gave it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        opened = os.open(name, flags, dir_fd=top)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=top)
        opened = os.open(name, flags, dir_fd=top)
    if os.fstat(opened).st_uid == os.getuid():
        os.fchmod(opened, 0o700)
    return opened


def _open_file(name, top):
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(name, flags, dir_fd=top)
    except PermissionError:
        os.chmod(name, 0o600, dir_fd=top)
        return os.open(name, flags, dir_fd=top)


def _copy_file(source, target, left):
    while left > 0:
        count = os.sendfile(target, source, None, min(left, 1 << 20))
        if count == 0:
            return
        left -= count


def remove(top, names):
    """Give the space back that half of a copy takes: on a full disk nobody else can write either."""
    import shutil  # noqa: PLC0415 - slow to import, and hardly ever needed

    for name in names:
        shutil.rmtree(f"{top}/{name}", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(Keeper(*sys.argv[1:4]).keep())
