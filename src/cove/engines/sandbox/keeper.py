# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""The keeper: a small process that starts one supervisor per run. Run as a script with ``python -I -S``.

It reads what to run from its standard input, one JSON object a line, and ends when that closes, which is when the
service ends. The supervisors that it forks go on: each holds a lock while it lives, mounts in a namespace of its own
(so that nothing is left mounted when it dies), watches its run, and writes down how it ended. The file for that record
is made first, as the mark that the run was taken, and locked for as long as the supervisor lives: it is there, as
``exit.tmp`` or ``exit.json``, from then on. SIGUSR1 asks a supervisor to stop its run, SIGUSR2 to end it at once.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import resource
import select
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves our own folder out
import keepgroups  # type: ignore[import-not-found]  # found beside this script
import keepids  # type: ignore[import-not-found]  # found beside this script
import keepmarks  # type: ignore[import-not-found]  # found beside this script
import keepmounts  # type: ignore[import-not-found]  # found beside this script
import keeptree  # type: ignore[import-not-found]  # found beside this script
import keepwork  # type: ignore[import-not-found]  # noqa: F401 - loaded before /tmp is covered, where all this may lie
from keepdisk import Disk  # type: ignore[import-not-found]  # found beside this script
from keeping import Log, copy_folder, memory_file  # type: ignore[import-not-found]  # found beside this script

BASE = "/tmp"  # noqa: S108 - see plan.py
_CHUNK = 1 << 16
_NO_SPACE = "The provider has no space left."
_LOOK_SECONDS = 0.2


def main():
    """Fork a supervisor for each line, and say whether it took its run."""
    root = sys.argv[1]
    gc.disable()  # a collection would touch, and so copy, what every supervisor shares with this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system takes the dead away: nobody waits for a supervisor
    answers = {b"!": b"started\n", b"f": b"full\n", b"u": b"users\n"}
    for line in sys.stdin:
        heard, told = os.pipe()
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _supervise(root, line, told)
        os.close(told)
        os.write(1, answers.get(os.read(heard, 1), b"failed\n"))
        os.close(heard)


def _supervise(root, line, told):
    """Own one run from its start to the record of its end; ``told`` gets a byte once the run is taken."""
    code = 1
    try:
        spec = json.loads(line)
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        run = os.open(os.path.join(root, spec["name"]), os.O_RDONLY | os.O_DIRECTORY)
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        running = _Run(run, spec)  # it hears the signals from before anybody can know of it
        answer, record = keepmarks.take(run) if running.take_user() else (b"u", None)
        os.write(told, answer)
        os.close(told)
        facts = running.go() if record is not None else None
        running.give_user_back()  # before anybody can know of the end, and start another run
        if facts is not None:
            os.pwrite(record, keepmarks.written(facts), 0)
            os.rename("exit.tmp", "exit.json", src_dir_fd=run, dst_dir_fd=run)
            keepmarks.tell(top, spec["name"])
            keepgroups.remove(spec["cgroups"])
        code = 0
    finally:
        os._exit(code)


class _Run:
    def __init__(self, run, spec):
        self.run = run
        self.spec = spec
        self.owner = os.getuid()
        self.held = None
        self.disk = None
        self.is_full = False
        self.is_made = False
        self.started_at = None
        self.ended_by = ""
        self.kill_at = None
        self.init = 0
        self.exit_code = None
        self.wishes, told = os.pipe()
        os.set_blocking(told, False)
        signal.signal(signal.SIGUSR1, lambda *_: os.write(told, b"!"))
        signal.signal(signal.SIGUSR2, lambda *_: keeptree.abandon())
        keeptree.adopt()

    def take_user(self):
        """Take a user of this host for this run alone, where we may be another; False when there is none left."""
        if self.owner == 0:
            found = keepids.take(*self.spec["users"])
            if found is None:
                return False
            self.owner, self.held = found
        return True

    def give_user_back(self):
        """Let another run have the user, now that nothing runs under it."""
        if self.held is not None:
            keepids.give_back(self.owner, self.held)

    def go(self):
        """Run it, and give the record of its end."""
        failure, detail, code = "", "", 1
        try:
            wanted = self.spec["disk"]
            keepmounts.make(BASE, self.spec["mounts"], self.owner, self._put_disk if wanted else None)
            self.is_made = True
            keepgroups.make(self.spec["cgroups"])
            code = self._run()
            if self.started_at is None and not self.ended_by and not self.is_full:
                failure, detail = "sandbox", "The sandbox could not be set up for this job."
        except keepmounts.Refused as problem:
            failure, detail = "sandbox", str(problem)
        except ValueError:
            failure, detail = "sandbox", "A variable, or the command, has characters that no program can be given."
        except OSError as problem:
            failure = "no_space" if problem.errno == errno.ENOSPC else "sandbox"
            detail = _NO_SPACE if failure == "no_space" else "The sandbox could not be made."
            self._log(f"sandbox: {problem.strerror}\n".encode())
        keeptree.end()
        out_of_memory = keepgroups.ran_out_of_memory(self.spec["cgroups"])
        left_out = []
        try:
            if self._lost_writes():
                failure, detail = "no_space", _NO_SPACE
            elif self.is_made:
                left_out = self._collect()
        except OSError as problem:
            left_out = []
            self._forget_copies()
            if not failure:
                failure, detail = "no_space" if problem.errno == errno.ENOSPC else "sandbox", "The outputs were lost."
        if self.disk is not None:
            self.disk.close()
        return {
            "code": code,
            "started_at": self.started_at,
            "finished_at": time.time(),
            "out_of_memory": out_of_memory,
            "ended_by": self.ended_by,
            "failure": failure,
            "detail": detail,
            "left_out": left_out[:20],
        }

    # -------------------------------------------------------------------------------- the run itself

    def _run(self):
        spec = self.spec
        out, into = os.pipe()
        status, status_into = os.pipe()
        if any("\0" in word for word in (*spec["options"], *spec["command"])):
            raise ValueError  # it would end a word, and what follows would be an option of its own
        options = memory_file("\0".join(spec["options"]).encode() + b"\0")
        words = [spec["bwrap"], "--args", str(options), "--json-status-fd", str(status_into)]
        keep = [options, status_into]
        if spec["seccomp"]:
            keep.append(memory_file(bytes.fromhex(spec["seccomp"])))
            words += ["--seccomp", str(keep[-1])]
        words += ["--", *spec["command"]]
        child = os.fork()
        if child == 0:
            self._become(words, into, keep)
        for descriptor in (into, *keep):
            os.close(descriptor)
        return self._watch(child, out, status)

    def _become(self, words, into, keep):
        """Turn into bubblewrap, as the run's own user and with an empty environment."""
        try:
            keepgroups.join(self.spec["cgroups"])
            os.dup2(into, 1)
            os.dup2(into, 2)
            for descriptor in keep:
                os.set_inheritable(descriptor, True)
            for name, value in self.spec["rlimits"]:
                _, hard = resource.getrlimit(getattr(resource, name))
                bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(getattr(resource, name), (bound, bound))
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(self.owner, self.owner, self.owner)
                os.setresuid(self.owner, self.owner, self.owner)
            os.umask(0o022)
            for name in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(name, signal.SIG_DFL)  # what Python and the keeper ignore, the algorithm must not
            os.execve(words[0], words, {})
        finally:
            os._exit(126)

    def _watch(self, child, out, status):
        """Read the log, the news of the sandbox and the owner's wishes until the main process ended."""
        control = self.wishes
        ended = os.pidfd_open(child)
        log = Log(self.run, self.spec["log_bytes"])
        limit = time.monotonic() + self.spec["seconds"]
        news = b""
        poll = select.poll()
        for descriptor in (out, status, control, ended):
            poll.register(descriptor, select.POLLIN)
        while True:
            until = self.kill_at if self.kill_at is not None else limit
            patience = self._mind_the_host(child, max(0.0, until - time.monotonic()))
            ready = {descriptor for descriptor, _ in poll.poll(patience * 1000 + 1)}
            if status in ready:
                part = os.read(status, _CHUNK)
                news += part
                if not part:
                    poll.unregister(status)
                self._hear(news)
            if out in ready:
                part = os.read(out, _CHUNK)
                if not part:
                    poll.unregister(out)
                log.write(part)
            if control in ready:
                os.read(control, _CHUNK)
                self._ask_to_end("stopped", child)
            if ended in ready:
                break
            if time.monotonic() >= until:
                if self.kill_at is None:
                    self._ask_to_end("time_limit", child)
                else:
                    os.kill(child, signal.SIGKILL)
                    self.kill_at = time.monotonic() + 1
        _, raw = os.waitpid(child, 0)
        os.set_blocking(out, False)
        self._drain(out, log)
        os.set_blocking(status, False)
        try:
            news += os.read(status, _CHUNK)
        except BlockingIOError:
            pass
        self._hear(news)
        log.close()
        return self._code(raw)

    def _mind_the_host(self, child, patience):
        """End the run while there is still a little space: beyond, the service could not write either.

        Gives how many of the seconds to wait may pass until the next look.
        """
        if self.disk is None or self.is_full:
            return patience
        if self.disk.is_host_full():
            self.is_full = True
            os.kill(child, signal.SIGKILL)
        return min(patience, _LOOK_SECONDS)

    def _code(self, raw):
        if self.exit_code is not None:
            return self.exit_code
        if os.WIFSIGNALED(raw):
            return 128 + os.WTERMSIG(raw)
        if self.started_at is not None and not self.ended_by and os.WEXITSTATUS(raw) == 1:
            return 127  # the sandbox stood, and the program was not there
        return os.WEXITSTATUS(raw)

    def _drain(self, out, log):
        for _ in range(1000):
            try:
                part = os.read(out, _CHUNK)
            except BlockingIOError:
                return
            if not part:
                return
            log.write(part)

    def _hear(self, news):
        for line in news.splitlines():
            try:
                fact = json.loads(line)
            except ValueError:
                continue
            if "child-pid" in fact and self.started_at is None:
                self.init = fact["child-pid"]
                self.started_at = time.time()
            if "exit-code" in fact:
                self.exit_code = fact["exit-code"]

    def _ask_to_end(self, why, child):
        """SIGTERM to the main process: the first child of the sandbox's first process, which later adopts others."""
        if self.kill_at is not None:
            return
        self.ended_by = why
        self.kill_at = time.monotonic() + (self._asked_grace() if why == "stopped" else self.spec["grace"])
        pids = keeptree.children(self.init) if self.init else []
        try:
            os.kill(pids[0] if pids else child, signal.SIGTERM if pids else signal.SIGKILL)
        except OSError:
            return

    def _asked_grace(self):
        try:
            with open("grace", opener=lambda name, flags: os.open(name, flags, dir_fd=self.run)) as file:
                return float(file.read())
        except (OSError, ValueError):
            return self.spec["grace"]

    def _log(self, text):
        log = Log(self.run, self.spec["log_bytes"])
        log.write(text)
        log.close()

    # -------------------------------------------------------------------------------- what it left

    def _put_disk(self, target):
        self.disk = Disk(self.run, target, self.spec["disk"])

    def _lost_writes(self):
        """Say whether something that the run wrote may be lost, so that none of it may be taken for what it wrote."""
        return self.disk is not None and (self.is_full or not self.disk.keeps_all())

    def _forget_copies(self):
        """Give the space back that half of a copy takes: where a disk is full, nobody else can write either."""
        import shutil  # noqa: PLC0415 - slow to import, and hardly ever needed

        for name in ("outputs", "logs"):
            shutil.rmtree(f"/proc/self/fd/{self.run}/{name}", ignore_errors=True)

    def _collect(self):
        """Copy regular files out of the private file system; name the rest. What is empty leaves no folder."""
        left_out = []
        budget = self.spec["mounts"]["size"] if self.disk is None else self.spec["disk"]["bytes"]
        for name in ("outputs", "logs"):
            try:
                source = os.open(f"{BASE}/w/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                continue
            if os.listdir(source):
                os.mkdir(name, 0o700, dir_fd=self.run)
                into = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.run)
                copy_folder(source, into, 0, left_out, [budget])
        return left_out


if __name__ == "__main__":
    main()
