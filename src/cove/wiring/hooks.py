"""The site's own servers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from cove.crypto.box import KeyVault
from cove.crypto.keys import keccak
from cove.hooks import policy, rbac
from cove.hooks.asking import Asker
from cove.ports import Gate, Vault
from cove.settings import Settings


def open_gates(settings: Settings, vault: KeyVault, stack: contextlib.AsyncExitStack) -> tuple[Gate, ...]:
    """Give the policies that must say yes; the stack lets go of their connections."""
    given = settings.hooks
    gates: list[Gate] = []
    if url := given.rbac_url.get_secret_value():
        asker = Asker(url, rbac.PART, timeout=given.timeout_seconds)
        gates.append(rbac.RbacGate(asker, vault.address, _signing(vault), access=given.rbac_access))
    if url := given.policy_url.get_secret_value():
        gates.append(policy.PolicyGate(Asker(url, policy.PART, timeout=given.timeout_seconds), vault.address))
    for gate in gates:
        stack.push_async_callback(gate.close)
    return tuple(gates)


def _signing(vault: Vault) -> Callable[[str], str]:
    """Give the signature of texts as requests of the API are signed."""

    def sign(text: str) -> str:
        v, r, s = vault.sign_hash(keccak(text.encode()))
        return "0x" + (r + s + bytes((v,))).hex()

    return sign
