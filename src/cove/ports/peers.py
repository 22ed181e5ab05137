"""What asks other providers."""

from __future__ import annotations

from typing import Protocol

from cove.core.fees import SignedFee
from cove.core.files import FileFacts


class Peers(Protocol):
    """Other providers, asked about services whose files they keep.

    All methods block and are called in a worker thread. No text of an error quotes a URL, or what a provider answered.
    A provider is named by its base URL, without ``/`` at its end.
    """

    def files(self, provider: str, did: str, service_id: str) -> tuple[FileFacts, ...]:
        """Give the facts of a service's files, in their order; at least one.

        Raises:
            DataMissing: The provider does not answer, refuses, or answers something else.
        """
        ...

    def digests(self, provider: str, did: str, service_id: str) -> tuple[str, ...]:
        """Give the sha256 (hex) of each file, as the provider says it: what arrives must be hashed all the same.

        Raises:
            DataMissing: As for :meth:`files`, or it gives no digest of one of them.
            TooMany: Too many such questions are open: anybody may have them asked.
        """
        ...

    def fee(self, provider: str, did: str, service_id: str, *, until: int, userdata: str) -> SignedFee:
        """Give what an order of an access service must pay to its provider, with this provider's account as consumer.

        Args:
            provider: Its base URL.
            did: Of the asset.
            service_id: Of the service.
            until: Unix time until which the fee shall hold.
            userdata: JSON object of the consumer's parameters, as text.

        Raises:
            DataMissing: As for :meth:`files`.
            TooMany: Too many such questions are open.
        """
        ...
