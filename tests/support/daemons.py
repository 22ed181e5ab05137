"""Real container daemons of Debian's packages, started by the tests on private sockets: Docker and Podman."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest
from tests.support.certificates import self_signed
from tests.support.ports import free_port

HELPER = "cove-test-helper"
REGISTRY = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}", secret: test}}
"""


#: Chosen before there are daemons: they are told where the registry will be.
REGISTRY_PORT = free_port()
DOCKER_PORT = free_port()
PROGRAMS = (
    "cat", "chmod", "cp", "dash", "date", "echo", "env", "head", "id", "ln", "ls", "mkdir", "mv", "rm", "sleep", "stat",
    "touch", "true", "uname", "unshare", "wc",
)  # fmt: skip
LEFT_OUT = {"test", "idlelib", "tkinter", "site-packages", "turtledemo", "ensurepip", "lib2to3"}
_PATIENCE = 120.0
_STARTED: list[Daemon] = []


class Daemon:
    """One daemon with its own folder, socket and images."""

    def __init__(
        self, words: Sequence[str], folder: Path, environment: dict[str, str], below: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.socket = folder / "d.sock"
        self._words = words
        self._environment = {**os.environ, **environment}
        #: What it stands on, and what outlives it when it is killed.
        self._below = self._spawn(below) if below else None
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        _STARTED.append(self)

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        (self.folder / "pid").unlink(
            missing_ok=True
        )  # of one that was killed; somebody else may have its number by now
        self._process = self._spawn(self._words)
        limit = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket))
                with self.client() as http:
                    if http.get("/_ping").is_success:
                        return
            if self._process.poll() is not None or time.monotonic() > limit:
                pytest.fail(f"{self._words[0]} does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)  # nothing tells that a daemon listens

    def _spawn(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                cwd=self.folder,
            )

    def kill(self) -> None:
        """End it as a crash would; its containers go on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @contextlib.contextmanager
    def silenced(self) -> Iterator[None]:
        """Have it not answer for a while."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def client(self) -> httpx2.Client:
        return httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(self.socket)), base_url="http://docker", timeout=_PATIENCE
        )

    def load(self, name: str, archive: bytes, *changes: str) -> None:
        """Make an image of a tar of its root."""
        repository, sign, tag = name.rpartition(":")
        repository, tag = (repository, tag) if sign and "/" not in tag else (name, "")
        with self.client() as http:
            query = [
                ("fromSrc", "-"),
                ("repo", repository),
                ("tag", tag or "latest"),
                *(("changes", c) for c in changes),
            ]
            made = http.post("/images/create", params=query, content=archive)
            assert made.is_success, made.text
            # Podman forgets the tag.
            tagged = http.post(f"/images/{repository}/tag", params={"repo": repository, "tag": tag or "latest"})
            assert tagged.is_success or tagged.status_code == httpx2.codes.NOT_FOUND, tagged.text

    def push(self, name: str) -> str:
        """Send an image to its registry, remove it here, and give the digest of its manifest."""
        with self.client() as http:
            pushed = http.post(f"/images/{name}/push", headers={"X-Registry-Auth": "e30="}).text
            assert '"error"' not in pushed, pushed
            assert http.delete(f"/images/{name}").is_success
        host, _, path = name.partition("/")
        repository, _, tag = path.rpartition(":")
        accepted = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
        found = httpx2.get(
            f"http://{host}/v2/{repository}/manifests/{tag}",
            headers={"Accept": accepted},
            trust_env=False,
            timeout=_PATIENCE,
        )
        return str(found.headers["Docker-Content-Digest"])

    def remove_container(self, name: str) -> None:
        with self.client() as http:
            assert http.delete(f"/containers/{name}", params={"force": "true", "v": "true"}).is_success

    def end(self) -> None:
        """Remove every container, end it, and leave nothing mounted."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(httpx2.TransportError), self.client() as http:
                for one in http.get("/containers/json", params={"all": "true"}).json():
                    http.delete(f"/containers/{one['Id']}", params={"force": "true", "v": "true"})
        for process in (self._process, self._below):
            if process is None:
                continue
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(120)
            process.kill()
            process.wait()
        self._end_others()
        places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in sorted((place for place in places if place.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_others(self) -> None:
        """Wait for the processes that watched its containers: the last thing that some do is to make folders.

        One that goes on watches a container that was made while the others were removed, as for a service that was
        killed meanwhile: both are ended.
        """
        for place in Path("/proc").iterdir():
            try:
                if place.name.isdigit() and f"{self.folder}/".encode() in (place / "cmdline").read_bytes():
                    _end(int(place.name))
            except OSError:
                continue


def _end(watching: int) -> None:
    process = os.pidfd_open(watching)
    try:
        if not select.select([process], [], [], 10)[0]:
            contained = Path(f"/proc/{watching}/task/{watching}/children").read_text().split()
            for number in (*map(int, contained), watching):
                os.kill(number, signal.SIGKILL)
            select.select([process], [], [], 10)
    finally:
        os.close(process)


def end_all() -> None:
    """End every daemon that was started."""
    while _STARTED:
        _STARTED.pop().end()
    docker.cache_clear()
    podman.cache_clear()


@functools.cache
def docker() -> Daemon:
    """Give this session's Docker, with the images that the suite runs."""
    _needs("dockerd", "apt-get install docker.io runc busybox-static")
    folder = _folder()
    certificate = self_signed(folder)
    words = [
        "dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=overlay2", "--live-restore",
        f"--host=unix://{folder}/d.sock", f"--data-root={folder}/root", f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid", f"--containerd={folder}/c.sock",
        f"--host=tcp://127.0.0.1:{DOCKER_PORT}", "--tlsverify", f"--tlscacert={certificate}", f"--tlscert={certificate}",
        f"--tlskey={certificate}",
    ]  # fmt: skip
    below = ["containerd", f"--root={folder}/c/root", f"--state={folder}/c/state", f"--address={folder}/c.sock"]
    return _with_images(Daemon(words, folder, {}, below))


@functools.cache
def podman() -> Daemon:
    """Give this session's Podman, with the images that the suite runs."""
    _needs("podman", "apt-get install podman runc catatonit busybox-static")
    folder = _folder()
    words = [
        "podman", f"--root={folder}/root", f"--runroot={folder}/run", "--runtime=runc", "--cgroup-manager=cgroupfs",
        "--events-backend=file", f"--tmpdir={folder}/t", "system", "service", "--time=0", f"unix://{folder}/d.sock",
    ]  # fmt: skip
    location = f'[[registry]]\nlocation = "127.0.0.1:{REGISTRY_PORT}"\ninsecure = true\n'
    (folder / "registries.conf").write_text(location)
    # Otherwise each look into a container leaves a process for five minutes, which makes the folder anew in the end.
    (folder / "containers.conf").write_text("[engine]\nexit_command_delay = 1\n")
    told = {"CONTAINERS_CONF": f"{folder}/containers.conf", "CONTAINERS_REGISTRIES_CONF": f"{folder}/registries.conf"}
    return _with_images(Daemon(words, folder, told))


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Start Debian's registry, and give its name."""
    if shutil.which("docker-registry") is None:
        pytest.skip("there is no docker-registry here: apt-get install docker-registry")
    (folder / "registry.yml").write_text(REGISTRY.format(folder=folder / "registry", port=REGISTRY_PORT))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", f"{folder}/registry.yml"], stdout=log, stderr=log)
    limit = time.monotonic() + _PATIENCE
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", REGISTRY_PORT)):
                break
            assert process.poll() is None, (folder / "registry.log").read_text()
            assert time.monotonic() < limit
            time.sleep(0.02)  # nothing tells that it listens
        yield f"127.0.0.1:{REGISTRY_PORT}"
    finally:
        process.terminate()
        process.wait(120)


def _needs(program: str, how: str) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may start a container daemon")
    for needed in (program, "runc", "busybox"):
        if shutil.which(needed) is None:
            pytest.skip(f"there is no {needed} here: {how}")


def _folder() -> Path:
    # A socket's path has a hundred bytes at most, so it lies not below pytest's own folder.
    return Path(tempfile.mkdtemp(prefix="cove-daemon-", dir="/tmp"))


def _with_images(daemon: Daemon) -> Daemon:
    archive = host_archive()
    for name in ("host", "sealed"):
        daemon.load(name, archive)
    daemon.load(HELPER, helper_archive())
    return daemon


@functools.cache
def helper_archive() -> bytes:
    """Give the root of the helper image: a busybox."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.add(shutil.which("busybox") or "", "bin/busybox")
    return made.getvalue()


@functools.cache
def host_archive() -> bytes:
    """Give the root of an image with this host's Python and a few of its programs."""
    made = io.BytesIO()
    library = Path(sysconfig.get_paths()["stdlib"])
    python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    programs = {f"usr/bin/{name}": _program(name) for name in PROGRAMS} | {"usr/local/bin/python3": python}
    needed = {
        place for program in [*programs.values(), *library.glob("lib-dynload/*.so")] for place in _libraries(program)
    }
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in ("bin", "lib", "lib64"):
            _link(archive, name, f"usr/{name}")
        _link(archive, "usr/bin/sh", "dash")
        for name in ("etc", "tmp", "proc", "dev", "data", "var/tmp", "run"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, place in programs.items():
            archive.add(place.resolve(), name)
        for place in sorted(needed):
            name = (
                f"usr{place.removeprefix('/usr')}"
                if place.startswith(("/usr/", "/lib"))
                else f"usr/lib/{Path(place).name}"
            )
            archive.add(Path(place).resolve(), name)
        archive.add(library, f"usr/local/lib/{library.name}", filter=_wanted)
    return made.getvalue()


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    words = entry.name.split("/")[4:]
    return None if set(words) & LEFT_OUT or any(word.startswith("config-") for word in words) else entry


def _program(name: str) -> Path:
    found = shutil.which(name, path="/usr/bin:/bin")
    assert found is not None, name
    return Path(found)


def _libraries(program: Path) -> list[str]:
    run = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    return [word for word in run.stdout.split() if word.startswith("/")]


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)


def folder_archive(folder: Path) -> bytes:
    """Give the root of an image that is a folder."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for place in sorted(folder.iterdir()):
            archive.add(place, place.name)
    return made.getvalue()
