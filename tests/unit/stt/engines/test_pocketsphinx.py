"""Decoders that are lent: one that has failed is not lent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from agora_transcription.stt.engines.pocketsphinx import PocketSphinxUtterance

if TYPE_CHECKING:
    from pocketsphinx import Decoder


class BrittleDecoder:
    """A decoder, of which one call fails."""

    def __init__(self, fails: str) -> None:
        self._fails = fails

    def start_utt(self) -> None:
        self._perhaps("start_utt")

    def process_raw(self, audio: bytes) -> None:
        _ = audio
        self._perhaps("process_raw")

    def end_utt(self) -> None:
        self._perhaps("end_utt")

    def hyp(self) -> None:
        self._perhaps("hyp")

    def _perhaps(self, what: str) -> None:
        if what == self._fails:
            raise RuntimeError(what)


@pytest.mark.parametrize("fails", ["start_utt", "process_raw", "end_utt", "hyp", ""])
def test_a_decoder_that_has_failed_is_not_lent_again(fails: str) -> None:
    back: list[Decoder] = []
    utterance = PocketSphinxUtterance(cast("Decoder", BrittleDecoder(fails)), back.append, timestamps=False)
    if fails:
        with pytest.raises(RuntimeError):
            utterance.text(bytes(3200), final=True)
    else:
        assert utterance.text(bytes(3200), final=True) == ""
    utterance.close()
    utterance.close()
    assert len(back) == (0 if fails else 1)


def test_a_decoder_that_cannot_end_is_not_lent_again() -> None:
    back: list[Decoder] = []
    utterance = PocketSphinxUtterance(cast("Decoder", BrittleDecoder("end_utt")), back.append, timestamps=False)
    utterance.text(bytes(3200), final=False)
    with pytest.raises(RuntimeError):
        utterance.close()
    utterance.close()
    assert not back
