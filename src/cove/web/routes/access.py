"""encrypt, decrypt, fileinfo and validateContainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.access.service import DecryptQuery
from cove.core import messages
from cove.core.container import check_container
from cove.core.errors import Invalid
from cove.core.files import FileFacts
from cove.web import auth, documentation, refusals
from cove.web.callers import client_of
from cove.web.errors import json_answer
from cove.web.parsing import body_of, parameters, parse_json, passed_on, query_parameters, read, required, whole_number
from cove.web.plain import PlainRoute
from cove.wiring.house import Cove


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.post(
        f"{wire.API_PREFIX}/encrypt",
        status_code=201,
        response_class=Response,
        summary="Encrypt to the provider's key",
        responses={
            **documentation.responses(403, 413, signed=True),
            201: documentation.text("The ciphertext, 0x hexadecimal"),
        },
        openapi_extra={
            **documentation.query(wire.EncryptRequest, required=("chainId",)),
            "requestBody": {
                "required": True,
                "description": "What to encrypt, as it is",
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            },
        },
    )
    async def encrypt(request: Request) -> Response:
        """Encrypt a file list or a DDO, so that this provider alone can read it (ECIES, as eciespy writes it)."""
        asked = read(wire.EncryptRequest, query_parameters(request))
        chain = whole_number(asked.chainId, "chainId")
        claimed = asked.consumerAddress or asked.publisherAddress
        account = auth.address(claimed) if claimed else ""
        said = passed_on(asked.policyServer)
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/octet-stream":
            raise Invalid({"content-type": ["The Content-Type must be application/octet-stream."]})
        plain = await body_of(request, house.options.max_body)
        house.limits.outside(client_of(request))
        if asked.signature:
            proof = auth.proof_of(house, request, asked.signature, token=False)
            required(asked, *proof.needed())
            nonce = messages.parse_nonce(asked.nonce)
            text = messages.command(asked.consumerAddress or "", nonce, messages.ENCRYPT)
            await auth.prove(house, asked.consumerAddress or "", text, nonce, proof)
        cipher = await house.access.encrypt(chain, plain, account=account, passed_on=said)
        return Response(cipher, 201, media_type="text/plain")

    @router.post(
        f"{wire.API_PREFIX}/decrypt",
        status_code=201,
        response_class=Response,
        summary="Decrypt a published DDO",
        responses={
            **documentation.responses(403, 413, signed=True),
            201: documentation.text("The document in clear"),
        },
        openapi_extra=documentation.body(wire.DecryptRequest, form=True),
    )
    async def decrypt(request: Request) -> Response:
        """Give a published DDO in clear, while its NFT is active or unlisted; JSON or a form is taken."""
        asked = read(wire.DecryptRequest, await parameters(request, house.options.max_body))
        proof = auth.proof_of(house, request, asked.signature)
        required(asked, *proof.needed("decrypterAddress"), "chainId", "dataNftAddress")
        query = _decrypt_query(asked)
        nonce = messages.parse_nonce(asked.nonce)
        text = messages.decrypt(
            asked.transactionId or "",
            asked.dataNftAddress or "",
            asked.decrypterAddress or "",
            asked.chainId or "",
            nonce,
        )
        with house.limits.asking(client_of(request)):
            await auth.prove(house, asked.decrypterAddress or "", text, nonce, proof)
            return Response(await house.access.decrypt(query), 201, media_type="text/plain")

    @router.post(
        f"{wire.API_PREFIX}/fileinfo",
        response_model=list[wire.FileInfo],
        summary="What can be told of a file",
        responses=documentation.responses(413, refusals=refusals.FILES),
        openapi_extra=documentation.body(wire.FileQuery),
    )
    async def fileinfo(request: Request) -> Response:
        """Look at the files of a published service, or at a file object; valid is false for what cannot be had now."""
        body = parse_json(await body_of(request, house.options.max_body))
        checksum = str(body.get("checksum")).lower() in {"true", "1"}  # ocean.py asks with 1
        with house.limits.looking(client_of(request)):
            facts = await _file_info(house, body, checksum=checksum)
        return json_answer([_facts(index, entry) for index, entry in enumerate(facts)])

    @router.post(
        f"{wire.API_PREFIX}/validateContainer",
        response_model=wire.ContainerRef,
        summary="Check an algorithm's container section",
        responses=documentation.responses(413, refusals=refusals.CONTAINER),
        openapi_extra=documentation.body(wire.ContainerRef),
    )
    async def validate_container(request: Request) -> Response:
        """Give a container section back, if it is complete and well-formed."""
        body = await body_of(request, house.options.max_body)
        given = read(wire.ContainerRef, parse_json(body))
        check_container(given.entrypoint, given.image, given.tag, given.checksum)
        return json_answer(given.model_dump(exclude_none=True))

    return router


async def _file_info(house: Cove, body: dict[str, Any], *, checksum: bool) -> Sequence[FileFacts]:
    did = body.get("did") or body.get("documentId")
    if did is None:
        return await house.access.file_info_by_object(body, checksum=checksum)
    service = body.get("serviceId")
    if not isinstance(service, str) or not service:
        raise Invalid({"serviceId": ["The serviceId field is required."]})
    return await house.access.file_info_by_did(messages.parse_did(did, "did"), service, checksum=checksum)


def _decrypt_query(asked: wire.DecryptRequest) -> DecryptQuery:
    return DecryptQuery(
        decrypter=auth.address(asked.decrypterAddress, "decrypterAddress"),
        chain_id=whole_number(asked.chainId, "chainId"),
        nft=auth.address(asked.dataNftAddress, "dataNftAddress"),
        transaction_id=messages.parse_tx(asked.transactionId, "transactionId") if asked.transactionId else None,
        document=_hex(asked.encryptedDocument, "encryptedDocument"),
        flags=whole_number(asked.flags, "flags", 255) if asked.flags is not None else 0,
        document_hash=_hex(asked.documentHash, "documentHash"),
        passed_on=passed_on(asked.policyServer),
    )


def _hex(text: str | None, field: str) -> bytes | None:
    if text is None:
        return None
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Invalid({field: [f"The {field} must be hexadecimal."]}) from None


def _facts(index: int, facts: FileFacts) -> dict[str, Any]:
    answer: dict[str, Any] = {"type": facts.type, "valid": facts.valid, "index": index}
    if facts.valid:
        answer["contentLength"] = "" if facts.content_length is None else str(facts.content_length)
        answer["contentType"] = facts.content_type
        answer["filename"] = facts.filename
    if facts.checksum is not None:
        answer |= {"checksum": facts.checksum, "checksumType": "sha256"}
    return answer
