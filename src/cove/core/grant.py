"""Grants: orders without a chain. The owner of an asset signs one as EIP-712 typed data; its digest is the order's id.

The domain holds the provider's address and the chain id that its assets are published under, so a grant is worth
nothing at another provider. What a grant says stands in the signed type alone; what became of it since (runs used,
taken back) is the provider's own record of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cove.core import json_form
from cove.core.errors import Invalid
from cove.core.messages import parse_address, parse_did

Keccak = Callable[[bytes], bytes]

ORDER_KEY: Final = "grant:"
"""What the keys of orders that are grants begin with: their runs are counted."""
MAX_RUNS: Final = 1_000_000
MAX_TIME: Final = 2**53 - 1
MAX_FILE_BYTES: Final = 64 << 10

_NAME: Final = "Cove Grant"
_VERSION: Final = "1"
_SALT_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 65
_LONGEST_SERVICE: Final = 256
_DOMAIN: Final = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)
_GRANT: Final = (
    ("consumer", "address"),
    ("asset", "string"),
    ("service", "string"),
    ("validUntil", "uint256"),
    ("runs", "uint256"),
    ("salt", "bytes32"),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What an owner signs."""

    #: The one account that may use it.
    consumer: str
    #: DID of the dataset or algorithm, lower case.
    asset: str
    #: Id of its service.
    service: str
    #: Unix time until which jobs may be started.
    valid_until: int
    #: How many runs it pays for, at least 1.
    runs: int
    #: 32 bytes that make it another one than any before.
    salt: bytes


@dataclass(frozen=True, slots=True)
class SignedGrant:
    """A grant with its owner's signature, and the provider that it is for."""

    grant: Grant
    #: Id that the provider publishes assets without a chain under.
    chain_id: int
    #: The provider's account.
    provider: str
    #: r, s and v, 65 bytes.
    signature: bytes


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A grant as its provider keeps it."""

    #: Digest, ``0x`` and 64 lower-case hex digits: the order's id.
    id: str
    grant: Grant
    signature: bytes
    #: Unix time at which it was written down.
    created_at: float
    #: Runs that it has paid for.
    used: int = 0
    #: Unix time at which it was taken back; None while it holds.
    revoked_at: float | None = None


def order_key(grant_id: str) -> str:
    """Give the key under which the runs of a grant are counted."""
    return f"{ORDER_KEY}{grant_id.lower()}"


def digest(grant: Grant, chain_id: int, provider: str, keccak: Keccak) -> bytes:
    """Give what the owner signs (EIP-712), 32 bytes.

    Args:
        grant: What is granted.
        chain_id: Id that the provider publishes assets without a chain under.
        provider: The provider's account.
        keccak: keccak-256.
    """
    domain = _struct("EIP712Domain", _DOMAIN, _domain(chain_id, provider), keccak)
    return keccak(b"\x19\x01" + domain + _struct("Grant", _GRANT, _message(grant), keccak))


def typed_data(grant: Grant, chain_id: int, provider: str) -> dict[str, Any]:
    """Give the same in the form that wallets show and sign (``eth_signTypedData_v4``)."""
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in _DOMAIN],
            "Grant": [{"name": name, "type": kind} for name, kind in _GRANT],
        },
        "primaryType": "Grant",
        "domain": _domain(chain_id, provider),
        "message": {**_message(grant), "salt": "0x" + grant.salt.hex()},
    }


def write(signed: SignedGrant, keccak: Keccak) -> str:
    """Give the file that a consumer gets, JSON text."""
    made = digest(signed.grant, signed.chain_id, signed.provider, keccak)
    body = {
        "grant": "0x" + made.hex(),
        "typedData": typed_data(signed.grant, signed.chain_id, signed.provider),
        "signature": "0x" + signed.signature.hex(),
    }
    return json.dumps(body, indent=2) + "\n"


def read(text: str, keccak: Keccak) -> tuple[str, SignedGrant]:
    """Read a consumer's file, and give the grant's id too.

    Raises:
        Invalid: It is no such file, or the id in it is not that of what it says.
    """
    body = json_form.mapping(json_form.load(text, "grant", limit=MAX_FILE_BYTES), "grant")
    data = json_form.mapping(body.get("typedData"), "typedData")
    domain = json_form.mapping(data.get("domain"), "typedData.domain")
    signed = SignedGrant(
        parse(json_form.mapping(data.get("message"), "typedData.message"), "typedData.message"),
        json_form.whole_number(domain.get("chainId"), "typedData.domain.chainId", least=1, most=MAX_TIME),
        parse_address(domain.get("verifyingContract"), "typedData.domain.verifyingContract"),
        _bytes(body.get("signature"), "signature", _SIGNATURE_BYTES),
    )
    found = "0x" + digest(signed.grant, signed.chain_id, signed.provider, keccak).hex()
    if json_form.text(body.get("grant"), "grant").lower() != found:
        raise Invalid({"grant": ["The file was changed: its id is not that of the grant in it."]})
    return found, signed


def parse(message: Mapping[str, object], field: str) -> Grant:
    """Read the message of the typed data.

    Raises:
        Invalid: A part is missing or malformed, under its dotted path.
    """
    service = json_form.text(message.get("service"), f"{field}.service")
    if not 0 < len(service) <= _LONGEST_SERVICE:
        raise json_form.wrong(f"{field}.service", f"the id of a service, of at most {_LONGEST_SERVICE} characters")
    return Grant(
        consumer=parse_address(message.get("consumer"), f"{field}.consumer"),
        asset=parse_did(message.get("asset"), f"{field}.asset").lower(),
        service=service,
        valid_until=json_form.whole_number(message.get("validUntil"), f"{field}.validUntil", least=1, most=MAX_TIME),
        runs=json_form.whole_number(message.get("runs"), f"{field}.runs", least=1, most=MAX_RUNS),
        salt=_bytes(message.get("salt"), f"{field}.salt", _SALT_BYTES),
    )


def _domain(chain_id: int, provider: str) -> dict[str, Any]:
    return {"name": _NAME, "version": _VERSION, "chainId": chain_id, "verifyingContract": provider}


def _message(grant: Grant) -> dict[str, Any]:
    return {
        "consumer": grant.consumer,
        "asset": grant.asset,
        "service": grant.service,
        "validUntil": grant.valid_until,
        "runs": grant.runs,
        "salt": grant.salt,
    }


def _struct(name: str, members: tuple[tuple[str, str], ...], values: Mapping[str, Any], keccak: Keccak) -> bytes:
    """Give ``hashStruct`` of EIP-712."""
    written = ",".join(f"{kind} {member}" for member, kind in members)
    parts = [keccak(f"{name}({written})".encode()), *(_word(kind, values[member], keccak) for member, kind in members)]
    return keccak(b"".join(parts))


def _word(kind: str, value: Any, keccak: Keccak) -> bytes:  # noqa: ANN401 - of the kind that is named
    match kind:
        case "string":
            return keccak(str(value).encode())
        case "address":
            return bytes.fromhex(str(value).removeprefix("0x")).rjust(32, b"\0")
        case "bytes32":
            return bytes(value)
        case _:
            return int(value).to_bytes(32, "big")


def _bytes(value: object, field: str, length: int) -> bytes:
    text = json_form.text(value, field)
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != length:
        raise json_form.wrong(field, f"0x and {2 * length} hexadecimal digits")
    return raw
