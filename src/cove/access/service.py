"""The helper endpoints: encrypt, decrypt, fileinfo, and the DDOs that this Cove knows."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cove.core import ddo, json_form, shapes
from cove.core.asset import NFT_READABLE_STATES
from cove.core.consent import Action, DecryptSubject, Question
from cove.core.document import MAX_DOCUMENT_BYTES, decode_document, is_document_of
from cove.core.errors import CoveError, DataMissing, Forbidden, Invalid, NotFound
from cove.core.filelist import attach_userdata, parse_file
from cove.core.files import FileFacts, FileObject, LocalFile
from cove.core.job import InputAsset, SealedFiles
from cove.crypto.keys import checksum as checksummed
from cove.jobs import looks, provisioning
from cove.jobs.consent import consent
from cove.jobs.orders import asset_of_any, find_asset
from cove.jobs.parts import Parts
from cove.sources import source_for, type_of
from cove.sources.copying import hash_of


@dataclass(frozen=True, slots=True)
class DecryptQuery:
    """What decrypt is asked; the caller has proven to be ``decrypter``."""

    decrypter: str
    chain_id: int
    nft: str
    #: None when the document itself is given.
    transaction_id: str | None
    document: bytes | None
    flags: int
    #: 32 bytes; None where the chain's event has it.
    document_hash: bytes | None
    #: What the caller says to the site's policy server, JSON text; empty for nothing.
    passed_on: str = ""


class AccessService:
    """Answers the helper endpoints.

    Args:
        parts: What the house is made of.
        decrypters: Accounts that alone may call decrypt, in lower case, beside the provider's own; empty: any account.
    """

    def __init__(self, parts: Parts, decrypters: frozenset[str]) -> None:
        self._parts = parts
        self._decrypters = decrypters and decrypters | {parts.vault.address.lower()}

    async def encrypt(self, chain_id: int, plain: bytes, *, account: str = "", passed_on: str = "") -> str:
        """Encrypt a file list or a DDO to the provider's key.

        Args:
            chain_id: Of the asset.
            plain: What to encrypt; no policy sees it.
            account: Who says to be asking, unproven; empty where nobody does.
            passed_on: What the caller says to the site's policy server, JSON text; empty for nothing.

        Raises:
            Invalid: The chain is not one of ours, or the site's policy says no.
            Forbidden: The site's policy says no.
            TooMany: Too many questions to the site's policy are open.
            Unavailable: The site's policy does not answer.
        """
        self._known_chain(chain_id)
        await consent(self._parts, Question(Action.ENCRYPT, account, passed_on=passed_on))
        return "0x" + self._parts.vault.encrypt(plain).hex()

    async def decrypt(self, query: DecryptQuery) -> bytes:
        """Give a published DDO in clear.

        Raises:
            Invalid: The chain, the transaction or the document is not good.
            Forbidden: The owner's list of decrypters, the NFT's state, or the site's policy says no.
            TooMany: Too many questions to the site's policy are open.
            Unavailable: The chain, or the site's policy, does not answer.
        """
        if self._decrypters and query.decrypter.lower() not in self._decrypters:
            raise Forbidden("Decrypter not authorized", hint="This provider decrypts for accounts of its choice alone.")
        ledger = self._parts.ledgers[self._known_chain(query.chain_id)]
        facts = await ledger.nft(query.nft)
        if facts is None:
            raise Invalid({"dataNftAddress": ["Asset was not deployed by the factory."]})
        if facts.state not in NFT_READABLE_STATES:
            raise Forbidden(f"The asset's state ({facts.state}) does not allow to decrypt it.")
        data, flags, document_hash = query.document, query.flags, query.document_hash
        if query.transaction_id is not None:
            event = await ledger.metadata_of_transaction(query.transaction_id, query.nft)
            if event is None:
                raise Invalid({"transactionId": ["The transaction holds no metadata of this asset."]})
            data, flags, document_hash = event.data, event.flags, event.metadata_hash
        if data is None or document_hash is None:
            raise Invalid({"encryptedDocument": ["Give transactionId, or encryptedDocument, flags and documentHash."]})
        subject = DecryptSubject(query.chain_id, query.nft, query.transaction_id)
        await consent(
            self._parts, Question(Action.DECRYPT, query.decrypter, decrypt=subject, passed_on=query.passed_on)
        )
        return await asyncio.to_thread(self._opened, data, flags, document_hash, ddo.did_of(query.nft, query.chain_id))

    def _opened(self, data: bytes, flags: int, document_hash: bytes, did: str) -> bytes:
        plain = decode_document(data, flags, document_hash, self._parts.vault.decrypt)
        if not is_document_of(plain, did):
            # In the words of a wrong hash: who guesses what a copied file list says is not told that it was right.
            raise Invalid({"documentHash": ["Checksum doesn't match."]})
        return plain

    async def asset_document(self, did: str) -> str:
        """Give a published DDO as JSON text, with what the chain says of it.

        Raises:
            NotFound: There is no such asset, or its owner took it out of use: what decrypt refuses is not told here.
            Unavailable: A chain that may know it does not answer.
        """
        asset = await asset_of_any(tuple(self._parts.metadata.values()), did)
        if asset.state not in NFT_READABLE_STATES:
            raise NotFound(f"The asset's state ({asset.state}) does not allow to show it.")
        return ddo.served_document(asset)

    async def check_document(self, plain: bytes) -> bytes:
        """See that a DDO follows Ocean's shapes and could be read here once it is published, and give its sha256.

        Raises:
            Invalid: It does not, under each field that is wrong.
        """
        return await asyncio.to_thread(self._check_document, plain)

    def _check_document(self, plain: bytes) -> bytes:
        body = json_form.mapping(json_form.load(plain, "ddo", limit=MAX_DOCUMENT_BYTES), "ddo")
        problems = shapes.errors_of(body)
        if problems:
            raise Invalid(problems)
        asset = ddo.parse(body, publisher="", state=0)
        self._known_chain(asset.chain_id)
        if asset.did != ddo.did_of(checksummed(asset.nft), asset.chain_id):
            raise Invalid({"id": ["It must be the DID of nftAddress and chainId."]})
        return hashlib.sha256(plain).digest()

    async def file_info_by_did(self, did: str, service_id: str, *, checksum: bool) -> list[FileFacts]:
        """Look at the files of a published service.

        Raises:
            Refused: There is no such asset.
            Invalid: It has no such service, or its files are another provider's.
        """
        asset = await find_asset(self._parts, did, "fileinfo")
        service = asset.service(service_id)
        if service is None:
            raise Invalid({"serviceId": ["The asset has no such service."]})
        sealed = SealedFiles(service.files, service.datatoken, asset.nft)
        given = InputAsset(did, service_id, sealed, publisher=asset.publisher)
        try:
            listed = await asyncio.to_thread(provisioning.open_files, self._parts, given)
        except DataMissing as problem:
            raise Invalid({"serviceId": [problem.message]}) from None
        return await self._look(listed.files, checksum=checksum)

    async def file_info_by_object(self, value: Mapping[str, object], *, checksum: bool) -> list[FileFacts]:
        """Look at a file that the caller describes; its ``userdata`` are the consumer's parameters.

        Raises:
            Invalid: It is no file object, or of a type that callers may not ask about.
        """
        file = parse_file(value, "file")
        if isinstance(file, LocalFile):
            raise Invalid({"type": ["Files of the provider's host can be looked at by DID only."]})
        given = value.get("userdata")
        file = attach_userdata(file, given if isinstance(given, str) else json.dumps(given or {}))
        return await self._look([file], checksum=checksum)

    async def _look(self, files: Sequence[FileObject], *, checksum: bool) -> list[FileFacts]:
        def look() -> list[FileFacts]:
            until = time.monotonic() + looks.SECONDS
            return [self._facts(file, until, checksum=checksum) for file in files]

        return await self._parts.looks.run(look)

    def _facts(self, file: FileObject, until: float, *, checksum: bool) -> FileFacts:
        if time.monotonic() > until:
            return FileFacts(valid=False, type=type_of(file))
        facts = source_for(file, self._parts.sources).info(file)
        if not (checksum and facts.valid) or (facts.content_length or 0) > looks.MAX_BYTES:
            return facts
        try:
            return replace(facts, checksum=hash_of(self._parts.sources, file, looks.MAX_BYTES, until=until))
        except CoveError:
            return replace(facts, valid=False)

    def _known_chain(self, chain_id: int) -> int:
        if chain_id not in self._parts.ledgers:
            known = ", ".join(str(chain) for chain in self._parts.ledgers) or "none"
            raise Invalid({"chainId": [f"Chain {chain_id} is not served here (served: {known})."]})
        return chain_id
