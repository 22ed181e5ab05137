# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""The keeper: a small process that starts one supervisor per run. Run as a script with ``python -I -S``.

It reads names of runs from its standard input and ends when that closes, which is when the service ends. The
supervisors that it forks go on: each holds a lock while it lives, mounts in a namespace of its own (so that nothing is
left mounted when it dies), watches its run, and writes down how it ended.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import select
import signal
import stat
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves our own folder out
from keeping import Log, copy_folder, libc, memory_file, mount  # type: ignore[import-not-found]  # found beside this script

BASE = "/tmp"  # noqa: S108 - see plan.py
_NEWNS, _NEWUSER = 0x20000, 0x10000000
_BIND, _PRIVATE = 4096, 0x44000
_LIMITS = 5
_CHUNK = 1 << 16


def main():
    """Fork a supervisor for each line; two forks, so that nobody has to wait for them."""
    root = sys.argv[1]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            if os.fork() == 0:
                os.setsid()
                _supervise(root, line.strip())
            os._exit(0)
        os.waitpid(child, 0)
        os.write(1, b"started\n")


def _supervise(root, name):
    """Own one run from its start to the record of its end."""
    code = 1
    try:
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        run = os.open(os.path.join(root, name), os.O_RDONLY | os.O_DIRECTORY)
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=run)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(os.open("started", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=run))
        except OSError:
            os._exit(0)
        with open(os.open("spec.json", os.O_RDONLY, dir_fd=run)) as file:
            spec = json.load(file)
        _reserve(run)
        record = _Run(run, spec).go()
        _write_record(run, record)
        _tell(top, name)
        code = 0
    finally:
        os._exit(code)


def _reserve(run):
    """Take the blocks of the record now, so that it can be written on a full disk."""
    descriptor = os.open("exit.tmp", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=run)
    os.write(descriptor, b" " * 4096)
    os.close(descriptor)


def _write_record(run, record):
    descriptor = os.open("exit.tmp", os.O_WRONLY, dir_fd=run)
    os.pwrite(descriptor, json.dumps(record).encode().ljust(4096)[:4096], 0)
    os.close(descriptor)
    os.rename("exit.tmp", "exit.json", src_dir_fd=run, dst_dir_fd=run)


def _tell(top, name):
    try:
        descriptor = os.open("events", os.O_WRONLY | os.O_NONBLOCK, dir_fd=top)
        os.write(descriptor, name.encode() + b"\n")
    except OSError:
        return


class _Refused(Exception):
    """The sandbox could not be made; the text is for people."""


class _Run:
    def __init__(self, run, spec):
        self.run = run
        self.spec = spec
        self.started_at = None
        self.ended_by = ""
        self.kill_at = None
        self.init = 0
        self.exit_code = None
        self.cgroups = []

    def go(self):
        """Run it, and give the record of its end."""
        failure, detail, code = "", "", 1
        try:
            self._mount()
            self._make_cgroups()
            code = self._run()
            if self.started_at is None and not self.ended_by:
                failure, detail = "sandbox", "The sandbox could not be set up for this job."
        except _Refused as problem:
            failure, detail = "sandbox", str(problem)
        except OSError as problem:
            failure = "no_space" if problem.errno == errno.ENOSPC else "sandbox"
            detail = "The provider has no space left." if failure == "no_space" else "The sandbox could not be made."
            self._log(f"sandbox: {problem.strerror}\n".encode())
        out_of_memory = self._out_ofmemory_file()
        self._end_cgroups()
        try:
            left_out = self._collect()
        except OSError as problem:
            left_out = []
            if not failure:
                failure, detail = "no_space" if problem.errno == errno.ENOSPC else "sandbox", "The outputs were lost."
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

    # -------------------------------------------------------------------------------- the private file system

    def _mount(self):
        spec = self.spec
        uid, gid = os.getuid(), os.getgid()
        if libc.unshare(_NEWNS | (0 if uid == 0 else _NEWUSER)):
            raise _Refused("This host does not let the service make namespaces; cove doctor says more.")
        if uid:
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        mount("none", "/", None, _PRIVATE, None)
        sources = []
        for source in spec["sources"]:
            try:
                sources.append(os.open(source, os.O_PATH))
            except OSError:
                raise _Refused("An input, or the image, is not there any more.") from None
        self.owner = spec["uid"] if uid == 0 else uid
        options = f"size={spec['disk']},nr_inodes={spec['inodes'] + 200},mode=0755"
        mount("cove", BASE, "tmpfs", 6, options)  # nosuid, nodev
        for name in ("in", "w", "etc", "bw"):
            os.mkdir(f"{BASE}/{name}")
        for name, mode in spec["folders"]:
            os.mkdir(f"{BASE}/w/{name}")
            os.chmod(f"{BASE}/w/{name}", mode)
            if uid == 0:
                os.chown(f"{BASE}/w/{name}", self.owner, self.owner)
        for name, text in spec["etc"]:
            with open(f"{BASE}/etc/{name}", "w") as file:
                file.write(text)
        for source, target in zip(sources, spec["targets"], strict=True):
            if stat.S_ISDIR(os.fstat(source).st_mode):
                os.makedirs(target)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
            mount(f"/proc/self/fd/{source}", target, None, _BIND, None)
            os.close(source)

    # -------------------------------------------------------------------------------- limits

    def _make_cgroups(self):
        for folder, limits in self.spec["cgroups"]:
            try:
                os.makedirs(folder, exist_ok=True)
                for name, value in limits:
                    try:
                        with open(f"{folder}/{name}", "w") as file:
                            file.write(value)
                    except FileNotFoundError:
                        continue
            except OSError:
                raise _Refused("A cgroup of this host refused the job's limits.") from None
            self.cgroups.append(folder)

    def _join(self):
        for folder in self.cgroups:
            with open(f"{folder}/cgroup.procs", "w") as file:
                file.write(str(os.getpid()))

    def _out_ofmemory_file(self):
        for folder in self.cgroups:
            for name in ("memory.oom_control", "memory.events"):
                try:
                    with open(f"{folder}/{name}") as file:
                        for line in file:
                            key, _, count = line.partition(" ")
                            if key == "oom_kill" and int(count):
                                return True
                except OSError:
                    continue
        return False

    def _end_cgroups(self):
        for folder in self.cgroups:
            for _ in range(200):
                try:
                    with open(f"{folder}/cgroup.procs") as file:
                        for pid in file:
                            os.kill(int(pid), signal.SIGKILL)
                    os.rmdir(folder)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.005)

    # -------------------------------------------------------------------------------- the run itself

    def _run(self):
        spec = self.spec
        out, into = os.pipe()
        status, status_into = os.pipe()
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
            self._join()
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
            for name in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
                signal.signal(name, signal.SIG_DFL)  # what the keeper ignores, the algorithm must not
            os.execve(words[0], words, {})
        finally:
            os._exit(126)

    def _watch(self, child, out, status):
        """Read the log, the news of the sandbox and the owner's wishes until the main process ended."""
        control = os.open("control", os.O_RDWR | os.O_NONBLOCK, dir_fd=self.run)
        ended = os.pidfd_open(child)
        log = Log(self.run, self.spec["log_bytes"])
        limit = time.monotonic() + self.spec["seconds"]
        news = b""
        poll = select.poll()
        for descriptor in (out, status, control, ended):
            poll.register(descriptor, select.POLLIN)
        while True:
            until = self.kill_at if self.kill_at is not None else limit
            ready = {descriptor for descriptor, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000 + 1)}
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
        """SIGTERM to the main process, which is the only child of the sandbox's first process."""
        if self.kill_at is not None:
            return
        self.ended_by = why
        self.kill_at = time.monotonic() + self.spec["grace"]
        try:
            with open(f"/proc/{self.init}/task/{self.init}/children") as file:
                pids = file.read().split()
        except OSError:
            pids = []
        if not self.init or not pids:
            os.kill(child, signal.SIGKILL)
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGTERM)
            except OSError:
                continue

    def _log(self, text):
        log = Log(self.run, self.spec["log_bytes"])
        log.write(text)
        log.close()

    # -------------------------------------------------------------------------------- what it left

    def _collect(self):
        """Copy regular files out of the private file system; name the rest."""
        left_out = []
        os.mkdir("collected", 0o700, dir_fd=self.run)
        target = os.open("collected", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.run)
        for name in ("outputs", "logs"):
            os.mkdir(name, 0o700, dir_fd=target)
            into = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=target)
            try:
                source = os.open(f"{BASE}/w/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                continue
            copy_folder(source, into, 0, left_out, [self.spec["disk"]])
        return left_out


if __name__ == "__main__":
    main()
