"""How a cluster is reached: a kubeconfig file, or the account of the pod that this process runs in."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cove.core.errors import SettingsWrong, Unavailable

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that a client needs."""

    #: ``https://host:port``, without ``/`` at its end.
    server: str
    tls: ssl.SSLContext
    #: Gives the token of the next request, from a file read anew since tokens are rotated; empty where a certificate
    #: speaks.
    token: Callable[[], str]
    namespace: str


def of_pod(account: Path = ACCOUNT) -> Access:
    """Read the account that the cluster gave to the pod of this process.

    Raises:
        SettingsWrong: This process is in no pod, or its pod has no account.
    """
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (account / "token").is_file():
        raise SettingsWrong(
            "The kubernetes engine has no way to its cluster.",
            hint="Set kubeconfig, or run Cove in a pod with a service account.",
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    namespace = (account / "namespace").read_text(encoding="ascii").strip()
    return Access(server, ssl.create_default_context(cafile=account / "ca.crt"), _reader(account / "token"), namespace)


def of_file(file: Path, context: str = "") -> Access:
    """Read a kubeconfig.

    Args:
        file: Its path.
        context: One of its contexts; empty for the current one.

    Raises:
        SettingsWrong: It cannot be read, or asks for something that is not done here; never quoting it.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        name = context or found["current-context"]
        chosen = _named(found["contexts"], name)["context"]
        cluster = _named(found["clusters"], chosen["cluster"])["cluster"]
        user = _named(found["users"], chosen["user"])["user"]
        server = str(cluster["server"]).rstrip("/")
    except OSError as problem:
        raise SettingsWrong(f"The kubeconfig {file} cannot be read: {problem.strerror}.") from None
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
        raise SettingsWrong(
            f"The kubeconfig {file} has no usable context {context!r}." if context else
            f"The kubeconfig {file} names no usable context, cluster and user.",
        ) from None  # fmt: skip
    if "exec" in user or "auth-provider" in user:
        raise SettingsWrong(
            f"The kubeconfig {file} gets its token from a program, which is not done here.",
            hint="Make a service account for Cove and give its token.",
        )
    if not server.startswith("https://") or cluster.get("insecure-skip-tls-verify"):
        raise SettingsWrong(f"The kubeconfig {file} does not check who the cluster is: use https and its authority.")
    try:
        return Access(server, _tls(file.parent, cluster, user), _token(file.parent, user), chosen.get("namespace", ""))
    except (OSError, ssl.SSLError, binascii.Error, ValueError):
        raise SettingsWrong(f"A certificate, key or token of the kubeconfig {file} cannot be read.") from None


def _named(entries: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next((entry for entry in entries if entry["name"] == name), {})


def _tls(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    authority = _material(folder, cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    certificate, key = _material(folder, user, "client-certificate"), _material(folder, user, "client-key")
    if certificate and key:
        # The library takes files alone; this one is in memory and nowhere else.
        descriptor = os.memfd_create("cove", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, certificate + b"\n" + key)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    return context


def _material(folder: Path, entry: Mapping[str, Any], name: str) -> bytes:
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"], validate=True)
    return (folder / entry[name]).read_bytes() if entry.get(name) else b""


def _token(folder: Path, user: Mapping[str, Any]) -> Callable[[], str]:
    if user.get("tokenFile"):
        return _reader(folder / user["tokenFile"])
    token = str(user.get("token", ""))
    return lambda: token


def _reader(file: Path) -> Callable[[], str]:
    def read() -> str:
        try:
            return file.read_text(encoding="ascii").strip()
        except OSError as problem:
            raise Unavailable("kubernetes", f"The account's token cannot be read: {problem.strerror}.") from None

    return read
