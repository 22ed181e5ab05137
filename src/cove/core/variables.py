"""Which environment variables a consumer may give to an algorithm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cove.core.errors import Refused

MAX_VARIABLES: Final = 100
MAX_VALUE: Final = 32 << 10

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)

OURS: Final = frozenset(
    {
        "BASE_DIR",
        "DIDS",
        "HOME",
        "INPUTS",
        "LANG",
        "LOGS",
        "OUTPUTS",
        "PATH",
        "ROOT_FOLDER",
        "SECRET",
        "TMPDIR",
        "TRANSFORMATION_DID",
        "VOLUME",
        "secret",
    }
)
"""What the service itself tells an algorithm, and PATH of the image; ``ROOT_FOLDER`` must never be there."""

_STEERING: Final = frozenset(
    {
        "CDPATH",
        "ENV",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
        "IFS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "LOCPATH",
        "NLSPATH",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "PROMPT_COMMAND",
        "PS4",
        "SHELLOPTS",
        "_JAVA_OPTIONS",
    }
)
_STEERING_PREFIXES: Final = (
    "BASH",
    "CORECLR_",
    "COVE_",
    "DOTNET_",
    "JULIA_",
    "LD_",
    "LUA_",
    "MALLOC_",
    "NODE_",
    "NPM_CONFIG_",
    "OPENSSL_",
    "PERL",
    "PYTHON",
    "R_",
    "RUBY",
)


def check_environment(variables: Mapping[str, str]) -> None:
    """Return when a consumer may set these variables.

    Refused are the service's own names, ``PATH`` and ``LD_*`` (``container.md``), and those by which shells, linkers
    and interpreters load or run further code: with ``NODE_OPTIONS`` or ``BASH_ENV`` a consumer could run their own
    code under the name of an algorithm that a dataset's owner trusts.

    Raises:
        Refused: Under ``envs`` or ``envs.<name>``: ``too_many``, ``name_invalid``, ``reserved`` or ``value_invalid``.
    """
    if len(variables) > MAX_VARIABLES:
        raise Refused("envs", "too_many", hint=f"Give at most {MAX_VARIABLES} variables.")
    for name, value in variables.items():
        if _NAME.fullmatch(name) is None:
            raise Refused("envs", "name_invalid", hint="A name has letters, digits and underscores.")
        if is_reserved(name):
            raise Refused(f"envs.{name}", "reserved", hint="Choose a name that steers neither service nor interpreter.")
        if "\0" in value or len(value) > MAX_VALUE or not _is_unicode(value):
            raise Refused(f"envs.{name}", "value_invalid", hint=f"At most {MAX_VALUE} characters, without NUL.")


def is_reserved(name: str) -> bool:
    """Say whether a variable is the service's own, or steers a shell, a linker or an interpreter."""
    return name in OURS or name.upper() in OURS | _STEERING or name.upper().startswith(_STEERING_PREFIXES)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
