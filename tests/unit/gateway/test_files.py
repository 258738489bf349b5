"""The gateway's own secrets: what is wrong with a file is said by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora_transcription.gateway.files import Files
from agora_transcription.serving.keys import FileProblem
from agora_transcription.settings import GatewaySettings
from unit.gateway.fakes import API_KEY, CERTIFICATE, settings_of

if TYPE_CHECKING:
    from pathlib import Path


def test_good_files_are_read(tmp_path: Path) -> None:
    files = Files(settings_of(tmp_path))
    files.check()
    assert API_KEY in files.api_keys()
    project = files.project()
    assert project is not None
    assert project.app_certificate is not None
    assert project.app_certificate.get_secret_value() == CERTIFICATE
    assert CERTIFICATE not in repr(project)


@pytest.mark.parametrize(
    ("name", "content", "flag"),
    [
        ("apiKeys", "", "--api-keys-file"),
        ("apiKeys", "short", "--api-keys-file"),
        ("apiKeys", "long-enough-and-good\nshort", "--api-keys-file"),
        ("apiKeys", "lang-genug-aber-mit-ü", "--api-keys-file"),
        ("apiKeys", None, "--api-keys-file"),
        ("signingKeys", "\n\n", "--signing-key-file"),
        ("signingKeys", "x" * 31, "--signing-key-file"),
        ("signingKeys", None, "--signing-key-file"),
        ("appId", None, "--project-dir"),
        ("appCertificate", None, "--project-dir"),
    ],
)
def test_a_file_that_cannot_be_right_is_named_and_not_shown(
    tmp_path: Path, name: str, content: str | None, flag: str
) -> None:
    files = Files(settings_of(tmp_path))
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(FileProblem) as problem:
        files.check()
    assert str(problem.value).startswith(f"{flag}: {tmp_path / name} ")
    assert not content or not content.strip() or content not in str(problem.value)


def test_on_a_laptop_each_process_has_a_key_of_its_own() -> None:
    settings = GatewaySettings(namespace="rooms", anonymous=True)
    one, other = Files(settings), Files(settings)
    assert one.signing_keys() == one.signing_keys() != other.signing_keys()
    assert one.api_keys() == ()
    assert one.project() is None
