from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from cove.client.errors import BadAnswer, ClientError, NotReachable, TooLarge
from cove.client.following import log_of

LOG = b': the log begins\n\nevent: log\ndata: {"attempt":1,"offset":0,"text":"a\\n"}\n\n:\n\n'
END = b'event: end\ndata: {"status":70}\n\n'


def answer(content: bytes, size: int) -> httpx2.Response:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    return httpx2.Response(200, content=chunks())


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_log_is_read_to_its_end(size: int) -> None:
    assert list(log_of(answer(LOG + LOG + END + LOG, size))) == ["a\n", "a\n"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (LOG, NotReachable),
        (b"", NotReachable),
        (b"event: log\ndata: {}\n\n", BadAnswer),
        (b"event: log\ndata: x\n\n", BadAnswer),
        (b'event: log\ndata: {"text":1}\n\n', BadAnswer),
        (b"event: log\ndata: " + b"[" * 100_000 + b"\n\n", BadAnswer),
        (b"data: " + b"x" * (2 << 20), TooLarge),
    ],
)
def test_what_is_no_log_is_said(content: bytes, error: type[ClientError]) -> None:
    with pytest.raises(error):
        list(log_of(answer(content, 4096)))
