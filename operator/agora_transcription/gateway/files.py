"""The gateway's own secrets, from files. They are read for each call: a mounted Secret that changes counts at once.

Errors name the file and what is wrong with it, never its content.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

if TYPE_CHECKING:
    from pathlib import Path

    from agora_transcription.settings import GatewaySettings

__all__ = ["FileProblem", "Files", "Project"]

MIN_API_KEY: Final = 16
MIN_SIGNING_KEY: Final = 32
"""Characters; of random ones 32 have more than 128 bits in any usual spelling."""


class FileProblem(Exception):
    """A file is not there, or cannot be what it should."""


@dataclass(frozen=True, slots=True)
class Project:
    """An Agora project, as far as RTC tokens need it."""

    app_id: str
    app_certificate: SecretStr | None


class Files:
    """What the settings name."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._api_keys = settings.api_keys_file
        self._signing_keys = settings.signing_key_file
        self._project = settings.project_dir
        self._own_key = secrets.token_hex(MIN_SIGNING_KEY).encode()

    def check(self) -> None:
        """Read everything once.

        Raises:
            FileProblem: For the first that is wrong; the message begins with the flag.
        """
        for flag, read in (
            ("--api-keys-file", self.api_keys),
            ("--signing-key-file", self.signing_keys),
            ("--project-dir", self.project),
        ):
            try:
                read()
            except FileProblem as problem:
                raise FileProblem(f"{flag}: {problem}") from None

    def api_keys(self) -> tuple[str, ...]:
        """The keys that callers may use; none where anybody may call."""
        return _lines(self._api_keys, MIN_API_KEY) if self._api_keys else ()

    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys of builderTokens; the first is the one that signs."""
        if self._signing_keys is None:
            return (self._own_key,)
        return tuple(key.encode() for key in _lines(self._signing_keys, MIN_SIGNING_KEY))

    def project(self) -> Project | None:
        """The project whose RTC tokens are given out; None where there are none."""
        if self._project is None:
            return None
        return Project(_text(self._project / "appId"), SecretStr(_text(self._project / "appCertificate")))


def _lines(path: Path, shortest: int) -> tuple[str, ...]:
    lines = tuple(line.strip() for line in _text(path).splitlines() if line.strip())
    if not lines or not all(len(line) >= shortest and line.isascii() for line in lines):
        raise FileProblem(f"{path} must have a key of {shortest} or more ASCII characters in each line")
    return lines


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FileProblem(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
