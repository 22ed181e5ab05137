"""A compute environment, as the rules need it, and who may use it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cove.core.imagerules import image_problem
from cove.core.job import Container, Resources
from cove.core.payment import TokenPrices

_BALANCE_OF: Final = bytes.fromhex("70a08231")
_BALANCE_OF_ID: Final = bytes.fromhex("00fdd58e")
_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token whose holders may use an environment."""

    chain_id: int
    #: Checksummed address of an ERC-721, ERC-20 or ERC-1155 contract.
    contract: str
    #: Id of the token of an ERC-1155 contract; None for the other kinds.
    token_id: int | None = None

    def question(self, account: str) -> bytes:
        """Give the call that asks how much an account has: ``balanceOf`` of ERC-721 and ERC-20, or of ERC-1155."""
        whose = bytes.fromhex(account.removeprefix("0x")).rjust(_WORD, b"\0")
        if self.token_id is None:
            return _BALANCE_OF + whose
        return _BALANCE_OF_ID + whose + self.token_id.to_bytes(_WORD, "big")

    def is_held(self, answer: bytes | None) -> bool:
        """Say whether the contract's answer is a number above zero; None: it refused."""
        return answer is not None and len(answer) == _WORD and any(answer)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use an environment: listed accounts, and holders of tokens; without either, everybody."""

    #: Checksummed.
    addresses: tuple[str, ...] = ()
    tokens: tuple[HeldToken, ...] = ()

    def is_open(self) -> bool:
        """Say whether everybody may."""
        return not self.addresses and not self.tokens

    def lists(self, account: str) -> bool:
        """Say whether an account stands in the list itself."""
        return account.lower() in {address.lower() for address in self.addresses}


@dataclass(frozen=True, slots=True)
class FreeTier:
    """What of an environment may be used without payment by clients of Ocean Node's API."""

    #: None of it more than the environment's.
    resources: Resources
    #: Who may, of those who may use the environment.
    access: Access = Access()
    #: Runs at one time, of those of the environment; None: as many as there are.
    max_jobs: int | None = None
    #: Jobs that may wait, of those of the environment; None: as many as there are.
    max_queue: int | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """One place to run jobs, with its limits and its price."""

    id: str
    #: Name of the engine that runs its jobs.
    engine: str
    description: str
    resources: Resources
    #: Runs at one time.
    max_jobs: int
    #: Jobs that may wait.
    max_queue: int
    #: Whole fee tokens per minute; 0 is free.
    price_per_minute: Decimal
    #: Image names that may run here.
    images: tuple[str, ...]
    #: Fee token of each chain, checksummed.
    fee_tokens: tuple[tuple[int, str], ...]
    #: Whether a job's owner may read its log while it runs.
    live_logs: bool = False
    #: Whether a run may reach the network where every dataset allows it.
    network: bool = False
    #: Seconds that a job may wait for its run; 0 for as long as it takes.
    max_queue_wait: int = 0
    #: Patterns of image names (``core.imagerules``); empty: any that the engine has.
    image_patterns: tuple[str, ...] = ()
    #: Whether an algorithm must name its image by the whole digest.
    digests_only: bool = False
    access: Access = Access()
    #: Mock jobs, which nobody pays for, that may wait or run at a time; 0 for none at all.
    max_mock_jobs: int = 2
    #: Seconds that a run of one may take, where that is less than any run may.
    max_mock_seconds: int = 600
    #: None: nothing is free.
    free: FreeTier | None = None
    #: What it costs clients of Ocean Node's API who pay; one entry for each token.
    prices: tuple[TokenPrices, ...] = ()

    def prices_in(self, chain_id: int, token: str) -> TokenPrices | None:
        """Give what it costs in a token; None: it takes no such token."""
        found = (one for one in self.prices if one.chain_id == chain_id and one.token.lower() == token.lower())
        return next(found, None)

    def fee_token(self, chain_id: int) -> str:
        """Give the token that is paid on a chain; the zero address where none is set."""
        return dict(self.fee_tokens).get(chain_id, "0x" + "0" * 40)

    @property
    def offered_images(self) -> tuple[str, ...]:
        """Give those of the images that this environment's patterns let through."""
        allowed = self.image_patterns
        return tuple(image for image in self.images if not image_problem(Container(image), allowed, digests_only=False))

    def image_problem(self, container: Container) -> str:
        """Say in a sentence why this environment does not run an image; empty when it may."""
        return image_problem(container, self.image_patterns, digests_only=self.digests_only)

    def may_use(self, image: str, checksum: str) -> bool:
        """Say whether an image (``name`` or ``name:tag``) of this checksum may run here."""
        return not self.image_problem(Container(image, checksum=checksum))

    def wait_seconds(self, wished: int | None) -> int | None:
        """Give how long a job may wait for its run; None for as long as it takes.

        Args:
            wished: What its owner asked for, above 0; None: as long as the environment allows.
        """
        return min((seconds for seconds in (wished, self.max_queue_wait) if seconds), default=None)
