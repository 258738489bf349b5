"""What all models of the resource share."""

from __future__ import annotations

from agora_transcription.api import TaskSpec, base


def test_which_fields_were_given_is_kept_for_no_model() -> None:
    spec = TaskSpec(channel="room", languages=("en-US",))
    assert spec.model_fields_set is spec.captions.model_fields_set is base._NOT_KEPT
    spec.model_copy(update={"suspend": True})
    assert not base._NOT_KEPT
