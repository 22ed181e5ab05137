"""Opens the document of a metadata event: decrypts, checks and reads it."""

from __future__ import annotations

from cove.core import ddo, json_form
from cove.core.asset import Asset
from cove.core.document import MAX_DOCUMENT_BYTES, decode_document
from cove.core.errors import Invalid
from cove.core.indexed import Described
from cove.ports import Vault


def open_document(event: Described, chain_id: int, vault: Vault) -> Asset | str:
    """Give the asset of a metadata event, or why there is none; it must be that of the NFT that emitted it.

    Args:
        event: As it stands on the chain.
        chain_id: Where that was.
        vault: Opens what is encrypted to the provider.
    """
    try:
        document = decode_document(event.data, event.flags, event.metadata_hash, vault.decrypt)
        body = json_form.load(document, "ddo", limit=MAX_DOCUMENT_BYTES)
        asset = ddo.parse(json_form.mapping(body, "ddo"), publisher="", state=event.state)
    except Invalid as problem:
        field, texts = next(iter(problem.errors.items()), ("ddo", [""]))
        return f"What was published under this DID is no valid DDO of this provider ({field}: {' '.join(texts)})"
    own = (ddo.did_of(event.nft, chain_id), event.nft.lower(), chain_id)
    if (asset.did, asset.nft.lower(), asset.chain_id) != own:
        return "What was published under this DID names another asset."
    return asset
