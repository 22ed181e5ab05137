"""The tables of the settings file, one class each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, field_validator, model_validator

from cove.core.forwarding import parse_network
from cove.core.webhook import secret_of
from cove.core.weburl import parse_url

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_GROUP: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_MOST_A_MINUTE: Final = 1_000_000_000


def are_addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that has anything but addresses."""
    if not all(_ADDRESS.fullmatch(account) for account in value):
        msg = "should be a list of addresses, each 0x and 40 hex digits"
        raise ValueError(msg)
    return value


class Section(BaseModel):
    """A table: nothing that it does not know, and nothing that changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListenSettings(Section):
    """Where the service listens."""

    #: Address of an interface; loopback unless a proxy or a firewall stands in front.
    host: str = "127.0.0.1"
    #: TCP port; 0 takes a free one.
    port: int = Field(default=8030, ge=0, le=65535)
    #: Base URL that consumers reach the service at; empty: what a request was addressed to.
    public_url: str = ""
    #: Origins that browsers may call from.
    cors_origins: tuple[str, ...] = ("*",)
    #: Addresses or networks of the proxies in front. From them alone ``X-Forwarded-For``, ``-Proto`` and ``-Host`` are
    #: believed, which each of them must set or append to; empty believes nobody. Behind a proxy that is not listed, all
    #: consumers count as one client for ``limits``.
    trusted_proxies: tuple[str, ...] = ()

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            parse_network(network)
        return value


class ChainSettings(Section):
    """One chain."""

    #: Chain id, as ``eth_chainId`` says it.
    id: int = Field(ge=1)
    #: JSON-RPC URL, or a list of them in order of preference. They may hold access keys, so they are never printed.
    rpc: SecretStr | tuple[SecretStr, ...]
    #: Address of Ocean's ERC721Factory on this chain.
    factory: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    #: First block to look for published assets in; 0 looks from the beginning.
    start_block: int = Field(default=0, ge=0)
    #: Blocks that an order, or the lock of a payment, must be deep, its own included.
    confirmations: int = Field(default=1, ge=1)
    #: ``onchain`` reads DDOs from the chain's events; a URL names an Aquarius-compatible cache.
    metadata: str = "onchain"
    #: Seconds between two looks for new blocks, where ``metadata`` is ``onchain``.
    index_seconds: float = Field(default=2.0, gt=0)
    #: Token that environments are paid in on this chain.
    fee_token: str = Field(default="0x" + "0" * 40, pattern=r"^0x[0-9a-fA-F]{40}$")
    #: Address of Ocean's Escrow, or EnterpriseEscrow; empty: no payments are taken through one.
    escrow: str = Field(default="", pattern=r"^(0x[0-9a-fA-F]{40})?$")

    @field_validator("rpc", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        """Check the form here, since the error of a union would name pydantic's types."""
        given = value if isinstance(value, list | tuple) else [value]
        urls = [SecretStr(entry) if isinstance(entry, str) else entry for entry in given]
        several = tuple(url for url in urls if isinstance(url, SecretStr))
        if not urls or len(several) != len(urls):
            msg = "should be a URL, or a list of URLs"
            raise ValueError(msg)
        if len(set(several)) != len(several):
            msg = "each URL may stand once"
            raise ValueError(msg)
        return several

    @property
    def rpcs(self) -> tuple[SecretStr, ...]:
        """Give the JSON-RPC URLs in order of preference, at least one."""
        return self.rpc if isinstance(self.rpc, tuple) else (self.rpc,)


class CatalogSettings(Section):
    """Assets without a chain: a folder of files in place of publishing, and grants in place of orders."""

    #: Folder of the assets' files, which ``cove publish --local`` writes; empty: assets are published on chains alone.
    folder: Path | None = None
    #: Chain id that stands in their DDOs, and in what consumers ask for. It must be no real chain's, and not 0, which
    #: clients take for none; by default it is "Cove" in ASCII.
    chain_id: int = Field(default=0x436F7665, ge=1, le=2**53 - 1)


class EngineSettings(BaseModel):
    """One engine: its kind, and what that kind can be told (docs/reference/engines.md)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    #: ``sandbox``, or what another package brings; empty: the engine's name is its kind.
    kind: str = ""


class SandboxSettings(Section):
    """What the sandbox takes of this host."""

    #: First host uid for jobs, and how many there are: each run has one of its own while it lives, so as many as
    #: all ``max_jobs`` together are enough. They must belong to nobody else: by default they are the last below those
    #: that systemd gives to containers. Used when the service is root.
    first_uid: int = Field(default=458_752, ge=1000, le=4_000_000_000)
    uids: int = Field(default=65_536, ge=1, le=1 << 24)
    #: Largest ``disk`` of an environment that is kept in memory. Above, or where ``memory`` and ``disk`` together are
    #: more than this machine has, a run writes into a file of the state folder, where that can be had (root, mkfs.ext4,
    #: loop devices).
    disk_in_memory: ByteSize = ByteSize(2 << 30)
    #: Path of the cgroup that those of runs are made in, below the top of each hierarchy or what was delegated.
    cgroup: str = "cove"

    @field_validator("cgroup")
    @classmethod
    def _path_of_names(cls, value: str) -> str:
        if not _GROUP.fullmatch(value):
            msg = "should be a name, or names with / between them"
            raise ValueError(msg)
        return value


class ImageSettings(Section):
    """What stands behind an image name, or behind every name that a pattern fits (docs/reference/images.md)."""

    #: ``host``: a read-only view of this host's /usr; ``rootfs``: a folder; ``archive``: an OCI layout or what
    #: ``docker save`` writes; ``registry``: what the name says, brought when a job needs it.
    kind: Literal["host", "rootfs", "archive", "registry"] = "host"
    #: Folder of a root filesystem, or archive; only for ``rootfs`` and ``archive``.
    path: Path | None = None
    #: Name that the nodes of a cluster pull; only for ``registry`` on Kubernetes. Empty: the name that the DDO states.
    reference: str = ""
    #: ``sha256:..`` that a DDO must state; empty takes any, but for an archive, where it must be the image's digest.
    checksum: str = ""


class RegistrySettings(Section):
    """How one registry is reached."""

    #: Account of the service at the registry; empty: it does not log in.
    username: str = ""
    #: Better in ``password_file``.
    password: SecretStr = SecretStr("")
    #: File with the password, or an access token, in its first line.
    password_file: Path | None = None
    #: True: plain HTTP; passwords can then be read on the way.
    insecure: bool = False
    #: File with the certificates that the registry's is signed with; empty: those that this host trusts.
    ca_file: Path | None = None
    #: Seconds to wait for a connection, and for the next bytes.
    stall_seconds: float = Field(default=30.0, gt=0)


class ImageStoreSettings(Section):
    """Where images of registries and archives are unpacked, and for how long."""

    #: Folder; empty: ``images`` in the state folder.
    folder: Path | None = None
    #: Largest image, unpacked.
    max_image: ByteSize = ByteSize(20 << 30)
    #: Files, folders and links of one image.
    max_files: int = Field(default=1_000_000, ge=1)
    #: Seconds that the bringing of one image may take.
    pull_seconds: float = Field(default=3600.0, gt=0)
    #: Images that are brought at one time.
    pulls_at_once: int = Field(default=2, ge=1, le=32)
    #: Days after its last use until an image goes; 0 for never.
    keep_days: float = Field(default=30.0, ge=0)
    #: All images together; over it those go that were not used for longest. 0 for no bound.
    keep_total: ByteSize = ByteSize(50 << 30)


class LocalRootSettings(Section):
    """A folder of this host whose files may be named in file objects of type ``local``."""

    path: Path
    #: Accounts that own the NFTs of assets that may point below this folder; ``*`` takes any account.
    publishers: tuple[str, ...] = ()


class UrlSettings(Section):
    """How files behind URLs are fetched."""

    #: Networks or ``host:port`` that may be reached although they are private.
    allowed: tuple[str, ...] = ()
    #: Largest file.
    max_bytes: ByteSize = ByteSize(100 << 30)
    #: Seconds to wait for a connection or the next bytes.
    stall_seconds: float = Field(default=30.0, gt=0)
    #: Seconds for a whole file.
    total_seconds: float = Field(default=6 * 3600.0, gt=0)
    #: URL of an IPFS gateway, without ``/ipfs``; empty: files of type ``ipfs`` cannot be had.
    ipfs_gateway: str = ""
    #: URL of an Arweave gateway; empty: files of type ``arweave`` cannot be had.
    arweave_gateway: str = ""


class ApiSettings(Section):
    """What the HTTP API grants."""

    #: False: a status needs a signature always.
    public_status: bool = True
    #: False: an order pays for one job only.
    order_pays_again: bool = True
    #: Bytes of a request body.
    max_body: ByteSize = ByteSize(4 << 20)
    #: Seconds that the links in a signed status work.
    link_seconds: int = Field(default=600, ge=1)
    #: Accounts that alone may call decrypt, in any case; empty: any account. DDOs that Cove itself reads stay as public
    #: as they are, at ``/api/aquarius/assets/ddo``.
    authorized_decrypters: tuple[str, ...] = ()

    _check_decrypters = field_validator("authorized_decrypters")(are_addresses)


class HooksSettings(Section):
    """Servers of the site's own; docs/hooks.md has what is sent to them."""

    #: URL of a server that is asked in the form of Ocean Provider's RBAC; empty: none. It may hold a secret.
    rbac_url: SecretStr = SecretStr("")
    #: What the RBAC server is told of this provider.
    rbac_access: Literal["public", "private"] = "public"
    #: URL of a server that is asked in the form of Ocean Node's PolicyServer; empty: none. It may hold a secret.
    policy_url: SecretStr = SecretStr("")
    #: Seconds that each server may take for a question or a proof; without an answer to a question nothing is done.
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    #: URL that a proof of each access is posted to; empty: none. It may hold a secret.
    http_proof_url: SecretStr = SecretStr("")
    #: True sends a proof of each access to its chain, which costs the provider's account gas.
    chain_proof: bool = False

    @field_validator("rbac_url", "policy_url", "http_proof_url")
    @classmethod
    def _web_address(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith(("http://", "https://")):
            msg = "should begin with http:// or https://"
            raise ValueError(msg)
        return value


class WebhookPlaceSettings(Section):
    """One place of the owner's that is told of jobs."""

    #: http or https; it may hold a secret.
    url: SecretStr
    #: ``whsec_`` and the base64 of 24 to 64 random bytes: what messages are signed with.
    secret: SecretStr

    @model_validator(mode="after")
    def _usable(self) -> Self:
        secret_of(self.secret.get_secret_value())
        try:
            parse_url(self.url.get_secret_value())
        except ValueError as problem:
            msg = f"url should be {problem}"
            raise ValueError(msg) from None
        return self


class WebhookSettings(Section):
    """Who is told of jobs, beside those that consumers name; docs/reference/webhooks.md."""

    endpoints: tuple[WebhookPlaceSettings, ...] = ()
    #: Networks or ``host:port`` that ``endpoints`` may lie at although they are private.
    allowed: tuple[str, ...] = ()
    #: The same for what consumers name: whatever is listed here, each of them can have Cove post to.
    allowed_to_consumers: tuple[str, ...] = ()


class LimitSettings(Section):
    """How often is too often, per minute; 0 turns a rate off. What is over it is answered with 429 and Retry-After.

    Who was quiet may ask for a minute's worth at once.
    A client is a network address: an IPv4 address, or an IPv6 network of 64 bits.
    """

    #: Requests of one client. 20 a second is a roomful of open market pages that each ask for their jobs' status.
    client: int = Field(default=1200, ge=0, le=_MOST_A_MINUTE)
    #: Requests of one account that a signature or token proved to be its own.
    address: int = Field(default=600, ge=0, le=_MOST_A_MINUTE)
    #: Requests of one client that cost calls to chains or other servers, or as much, and that need no order: fileinfo,
    #: initialize, initializeCompute, encrypt, decrypt, and DDOs.
    outside: int = Field(default=600, ge=0, le=_MOST_A_MINUTE)
    #: Signatures and tokens of one client that were wrong.
    failures: int = Field(default=30, ge=0, le=_MOST_A_MINUTE)
    #: Such outside calls under way at one time, to chains and to files each; one client may have a quarter of them.
    outside_at_once: int = Field(default=64, ge=1, le=1024)
    #: Live logs that one account may read at one time; all accounts together, 64 times as many.
    log_streams: int = Field(default=4, ge=1, le=64)
