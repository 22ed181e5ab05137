"""The rules of Ocean's shapes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.documents import a_document, a_service

from cove.core.shapes import MAX_ERRORS, errors_of

PARAMETER = {"name": "n", "type": "text", "label": "l", "required": True, "description": "a\nb", "default": ""}
CONTAINER = {"entrypoint": "e", "image": "i", "tag": "", "checksum": "sha256:1"}


def test_a_good_document_has_no_errors() -> None:
    metadata = {
        **a_document()["metadata"],
        "description": "two\nlines",
        "created": "2024-05-01T00:00:00Z",
        "tags": ["a", "b"],
        "links": [],
        "algorithm": {"container": CONTAINER, "consumerParameters": [PARAMETER]},
    }
    credentials = {"allow": [{"type": "address", "values": ["0x1"]}], "deny": []}
    compute = {
        **a_service()["compute"],
        "publisherTrustedAlgorithms": ["*"],
        "publisherTrustedAlgorithmPublishers": None,
    }
    service = a_service(compute=compute, consumerParameters=[{**PARAMETER, "options": [{"a": "b"}]}])
    assert errors_of(a_document(metadata=metadata, credentials=credentials, services=[service], other={})) == {}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"@context": "https://w3id.org/did/v1"}, "@context"),
        ({"id": "op:1"}, "id"),
        ({"id": None}, "id"),
        ({"version": 4}, "version"),
        ({"chainId": "8996"}, "chainId"),
        ({"chainId": True}, "chainId"),
        ({"nftAddress": ["0x1", "0x2"]}, "nftAddress"),
        ({"metadata": "none"}, "metadata"),
        ({"services": None}, "services"),
        ({"services": [1]}, "services[0]"),
        ({"services": [a_service(), a_service(name="two\nlines")]}, "services[1].name"),
        ({"services": [a_service(timeout=1.5)]}, "services[0].timeout"),
        ({"services": [a_service(files=None)]}, "services[0].files"),
        ({"services": [a_service(compute={"allowRawAlgorithm": False})]}, "services[0].compute.allowNetworkAccess"),
        ({"services": [a_service(consumerParameters=[{**PARAMETER, "required": "yes"}])]},
         "services[0].consumerParameters[0].required"),
        ({"metadata": {**a_document()["metadata"], "tags": [1]}}, "metadata.tags[0]"),
        ({"metadata": {**a_document()["metadata"], "updated": 5}}, "metadata.updated"),
        ({"metadata": {**a_document()["metadata"], "algorithm": {}}}, "metadata.algorithm.container"),
        ({"credentials": {"deny": [{"type": "address"}]}}, "credentials.deny[0].values"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    assert list(errors_of(a_document(**changes))) == [field]


def test_the_number_of_errors_is_bounded() -> None:
    assert len(errors_of(a_document(services=[1] * 10_000))) == MAX_ERRORS
    assert len(errors_of(a_document(services=[{}] * 1_000))) == MAX_ERRORS
