"""Tells GraphQL queries from what would change something, without reading more of the language than that takes."""

from __future__ import annotations

import re
from typing import Final

MAX_QUERY: Final = 64 << 10
"""Characters of a query's text."""

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\"""|\\|"(?!""))*+"""'  # a block of text
    r'|""(?!")|"(?!")(?:[^"\\\n\r]|\\.)*+"'
    r"|\#[^\n\r]*"
    r"|[A-Za-z_][A-Za-z0-9_]*"
    r"|\S",
    re.ASCII,
)
_OPENING: Final = frozenset("{([")
_CLOSING: Final = frozenset("})]")
_CHANGING: Final = frozenset({"mutation", "subscription"})


def is_query(text: str) -> bool:
    """Say whether a GraphQL document holds queries and fragments alone (GraphQL specification, section 2.3).

    Its definitions begin outside of all brackets, so neither a mutation behind a comment nor one behind a fragment
    gets by. A query that is itself named ``mutation`` is taken for one.
    """
    depth = 0
    found_body = False
    for match in _TOKEN.finditer(text):
        part = match[0]
        if part in _OPENING:
            depth += 1
            found_body = found_body or part == "{"
        elif part in _CLOSING:
            depth -= 1
        elif depth == 0 and part in _CHANGING:
            return False
        if depth < 0 or part == '"':  # a quote alone begins a text that does not end
            return False
    return found_body and depth == 0
