"""What the settings' texts look like: what is taken, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agora_transcription import shapes


@pytest.mark.parametrize(
    ("shape", "taken", "refused"),
    [
        (
            shapes.Address,
            ["127.0.0.1:0", ":8080", "0.0.0.0:65535", "[::1]:80", "::1:80", "localhost:1", "a.example.com.:1"],
            [
                "",
                ":",
                "80",
                ":65536",
                ":99999999999",
                ":-1",
                ":+1",
                ":\N{ARABIC-INDIC DIGIT ONE}",
                "http://a:1",
                "a" * 64 + ":1",
            ],
        ),
        (shapes.AddressOrNone, ["", ":1"], [" ", "1"]),
        (
            shapes.HttpUrl,
            ["http://a", "https://a.example:1/b/c?d=e", "http://[::1]:1"],
            ["", "a", "ftp://a", "http://", "http:///a", "http://user:password@a", "http://a b", "HTTP://a"],
        ),
        (shapes.RelayUrl, ["http://a", "https://a/b", "ws://a:1", "wss://a/b?c=d"], ["a", "ftp://a", "wss://key@a"]),
        (
            shapes.Origin,
            ["*", "https://app.example.com", "http://localhost:3000", "http://[::1]:1", "capacitor://localhost"],
            ["", "foo", "null", "https://a/", "https://A", "https://*.example.com", "https://u@a", "app.example.com:1"],
        ),
        (shapes.Network, ["10.0.0.0/8", "10.0.0.1", "fd00::/8"], ["", "proxy", "10.0.0.0/"]),
        (shapes.LanguageCode, ["en-US", "zh-CN", "ar-AE"], ["english", "en", "en-us"]),
        (shapes.Namespace, ["a", "a-1", "a" * 63], ["", "A", "-a", "a-", "a.b", "a" * 64, "a\n"]),
        (shapes.ObjectName, ["a", "a.b-1", "a" * 253], ["", "A", "-a", "a" * 254]),
    ],
    ids=["address", "address or none", "http", "relay", "origin", "network", "language", "namespace", "name"],
)
def test_texts(shape: Any, taken: list[str], refused: list[str]) -> None:
    reader = TypeAdapter(shape)
    for text in taken:
        assert reader.validate_python(text) == text
    for text in refused:
        with pytest.raises(ValidationError, match="Value error, must be "):
            reader.validate_python(text)
