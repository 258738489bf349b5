"""Keys in files and in headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora_transcription.serving.keys import FileProblem, key_of, keys_in

if TYPE_CHECKING:
    from pathlib import Path


def test_each_line_is_a_key(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\n  an-api-key-of-the-tests \r\n\nanother-api-key-of-the-tests")
    assert keys_in(file) == ("an-api-key-of-the-tests", "another-api-key-of-the-tests")
    assert keys_in(file, 23) == keys_in(file)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"too-short", b"an-api-key-of-the-tests\nshort", b"\xff" * 20, "ü".encode() * 20]
)
def test_a_file_without_good_keys_is_a_problem_that_shows_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(FileProblem) as problem:
        keys_in(file)
    assert str(file) in str(problem.value)
    assert "short" not in str(problem.value).replace(str(file), "")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, ""),
        ({"x-api-key": " k "}, "k"),
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k"}, "k"),
        ({"authorization": "Basic k"}, ""),
        ({"authorization": "Basic k", "x-api-key": "l"}, "l"),
        ({"authorization": "Bearer k", "x-api-key": "l"}, "k"),
    ],
)
def test_a_call_has_its_key_in_one_of_two_headers(headers: dict[str, str], key: str) -> None:
    assert key_of(headers) == key
