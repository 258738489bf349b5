"""The gateway's own secrets, from files."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from agora_transcription.serving.keys import FileProblem, keys_in, text_in

if TYPE_CHECKING:
    from agora_transcription.settings import GatewaySettings

__all__ = ["Files", "Project"]

MIN_SIGNING_KEY: Final = 32
"""Characters; of random ones 32 have more than 128 bits in any usual spelling."""


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
        return keys_in(self._api_keys) if self._api_keys else ()

    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys of builderTokens; the first is the one that signs."""
        if self._signing_keys is None:
            return (self._own_key,)
        return tuple(key.encode() for key in keys_in(self._signing_keys, MIN_SIGNING_KEY))

    def project(self) -> Project | None:
        """The project whose RTC tokens are given out; None where there are none."""
        if self._project is None:
            return None
        return Project(text_in(self._project / "appId"), SecretStr(text_in(self._project / "appCertificate")))
