"""What addresses, URLs and names of the settings look like; whoever gives another one is told in a sentence.

Each shape checks a text and gives it back. The sentence follows the flag's name: "--listen: must be HOST:PORT ...".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Address",
    "AddressOrNone",
    "HttpUrl",
    "LanguageCode",
    "Namespace",
    "Network",
    "ObjectName",
    "Origin",
    "RelayUrl",
    "address",
]

LAST_PORT: Final = 65535


def address(text: str) -> str:
    """HOST:PORT to listen on: the host may be empty, for all addresses; port 0 is any that is free.

    Raises:
        ValueError: It cannot be one; the message says what it must be.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > LAST_PORT or not _can_be_a_host(host):
        raise ValueError(f"must be HOST:PORT, with a port of 0 to {LAST_PORT}, as 127.0.0.1:8080")
    return text


def _can_be_a_host(text: str) -> bool:
    if re.search(r"[\s/@]", text):
        return False
    try:
        # As the resolver does it, whose complaint would come too late.
        text.strip("[]").encode("idna")
    except UnicodeError:
        return False
    return True


def _address_or_none(text: str) -> str:
    return address(text) if text else text


def _like(pattern: str, sentence: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(sentence)
        return text

    return check


_BEHIND_THE_SCHEME: Final = r"://[^/\s@]+(/\S*)?"

Address = Annotated[str, AfterValidator(address)]
AddressOrNone = Annotated[str, AfterValidator(_address_or_none)]
HttpUrl = Annotated[
    str,
    AfterValidator(
        _like(f"https?{_BEHIND_THE_SCHEME}", "must be a URL, http://HOST or https://HOST, without a user in it")
    ),
]
RelayUrl = Annotated[
    str,
    AfterValidator(
        _like(
            f"(https?|wss?){_BEHIND_THE_SCHEME}",
            "must be a URL that begins with wss://, https://, ws:// or http://, without a user in it",
        )
    ),
]
Origin = Annotated[
    str,
    AfterValidator(
        # Compared with what browsers send, letter by letter.
        _like(
            r"\*|[a-z][a-z0-9+.-]*://[^/?#\s@*A-Z]+",
            "must be *, or an origin as browsers send it, as https://app.example.com: in lower case, without a path",
        )
    ),
]
Network = Annotated[
    str, AfterValidator(_like(r"[0-9a-fA-F.:]+(/[0-9]+)?", "must be an address or a network, as 10.0.0.0/8"))
]
LanguageCode = Annotated[
    str, AfterValidator(_like(r"[a-z]{2,3}-[A-Z]{2}(-[a-z]+)?", "must be a language as Agora writes it, as en-US"))
]
Namespace = Annotated[
    str,
    AfterValidator(
        _like(
            r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
            "must be the name of a namespace: at most 63 of a-z, 0-9 and -, the first and the last no -",
        )
    ),
]
ObjectName = Annotated[
    str,
    AfterValidator(
        _like(
            r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?",
            "must be a name in Kubernetes: at most 253 of a-z, 0-9, - and ., the first and the last a letter or digit",
        )
    ),
]
