"""The examples that AWS publishes: "Signature Calculations for the Authorization Header", section Examples."""

from __future__ import annotations

import pytest

from cove.core.sigv4 import AwsKey, encoded_path, signed_headers
from cove.core.weburl import parse_url

KEY = AwsKey("us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
MOMENT = 1369353600.0
"""20130524T000000Z."""
HOST = "https://examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("target", "headers", "names", "signature"),
    [
        (
            "/test.txt",
            (("Range", "bytes=0-9"),),
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "/?lifecycle",
            (),
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "/?max-keys=2&prefix=J",
            (),
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_published_examples(target: str, headers: tuple[tuple[str, str], ...], names: str, signature: str) -> None:
    signed = dict(signed_headers("GET", parse_url(HOST + target), headers, KEY, MOMENT))
    assert signed["x-amz-date"] == "20130524T000000Z"
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={names},Signature={signature}"
    )


def test_keys_are_encoded_once_as_s3_does_it() -> None:
    assert encoded_path("a b/é+~(1)%.csv") == "a%20b/%C3%A9%2B~%281%29%25.csv"
    assert parse_url(f"http://h/{encoded_path('a b/é+~(1)%.csv')}").path == "/a%20b/%C3%A9%2B~%281%29%25.csv"


def test_the_method_and_the_moment_are_signed() -> None:
    url = parse_url(HOST)
    made = {signed_headers(method, url, (), KEY, now) for method in ("GET", "HEAD") for now in (MOMENT, MOMENT + 1)}
    assert len(made) == 4


def test_the_key_does_not_show() -> None:
    assert "EXAMPLE" not in repr(KEY)
