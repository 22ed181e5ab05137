"""A second name for each job, which opens nothing by itself.

A job's id opens its full status to whoever has it, so a list that anybody may ask for shows a handle in its place. It
is the id encrypted (one block of AES), so that it needs no storage and only this provider can find the job behind it.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cove.core.job import JobId
from cove.ports import Vault

_BLOCK_BYTES = 16


class Handles:
    """Turns ids into handles and back.

    Args:
        vault: The provider's key, from which the handles' own key is derived.
    """

    def __init__(self, vault: Vault) -> None:
        key = bytes.fromhex(vault.mac(b"job handles, 1"))
        # One block, and ids are random and distinct: there is nothing that a mode would chain or hide.
        self._cipher = Cipher(algorithms.AES(key[:32]), modes.ECB())  # noqa: S305

    def of(self, job_id: JobId) -> str:
        """Give a job's handle, 32 hex digits.

        Args:
            job_id: 32 hex digits.
        """
        encryptor = self._cipher.encryptor()
        return (encryptor.update(_block(job_id)) + encryptor.finalize()).hex()

    def job(self, handle: str) -> JobId:
        """Give the id of the job that a handle would be of; whether there is such a job is not known here.

        Args:
            handle: 32 hex digits.
        """
        decryptor = self._cipher.decryptor()
        return JobId((decryptor.update(_block(handle)) + decryptor.finalize()).hex())


def _block(text: str) -> bytes:
    block = bytes.fromhex(text)
    if len(block) != _BLOCK_BYTES:
        raise ValueError("an id of a job is 32 hex digits")
    return block
