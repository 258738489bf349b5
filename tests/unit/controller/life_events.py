"""What can happen in the life of a task, and how often: the material of `test_life.py`."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st

from agora_transcription import agora
from unit.controller.agora_model import Character, Crash, Fault, fault
from unit.controller.kubernetes_model import Body, unanswered

REFUSALS = (agora.CredentialsRefused, agora.ServiceNotEnabled, agora.QuotaExceeded, agora.RequestRefused)
LASTING = {error.__name__ for error in REFUSALS}

UNCLEAR = tuple(fault(error, effect=True) for error in (Crash, agora.Ambiguous, agora.Upstream))
CALL_FAULTS = (
    *UNCLEAR,
    *(fault(error) for error in (Crash, agora.Ambiguous, agora.Upstream)),
    *(fault(error) for error in (agora.NotSent, agora.Throttled, agora.Busy)),
    *(fault(error) for error in REFUSALS),
)
WRITE_FAULTS = (
    *(fault(Crash, effect=effect) for effect in (False, True)),
    *(Fault(unanswered, effect, "no answer") for effect in (False, True)),
)

LIVE_EDITS: tuple[Body, ...] = (
    {"languages": ["en-US"]},
    {"languages": ["de-DE"]},
    {"languages": ["de-DE", "en-US"]},
    {"subscribeAudioUids": ["17"]},
    {"subscribeAudioUids": ["all"]},
    {"subscribeAudioUids": None},
    {"uidLanguages": [{"uid": "17", "languages": ["fr-FR"]}]},
    {"uidLanguages": None},
    {"translation": {"enabled": True, "languages": [{"source": "en-US", "targets": ["de-DE", "fr-FR"]}]}},
    {"translation": {"enabled": False}},
    {"translation": None},
)
RESTART_EDITS: tuple[Body, ...] = (
    {"idleTimeoutSeconds": 60},
    {"idleTimeoutSeconds": 600},
    {"captions": {"format": "Json"}},
    {"captions": None},
    {"bot": {"uid": "1001"}},
    {"bot": None},
)
POLICY_EDITS: tuple[Body, ...] = (
    *({"restartPolicy": policy} for policy in ("Always", "OnFailure", "Never")),
    *({"rollover": policy} for policy in ("Replace", "Overlap")),
    *({"activeDeadlineSeconds": seconds} for seconds in (None, 20, 1200)),
    *({"ttlSecondsAfterFinished": seconds} for seconds in (None, 0, 300)),
    *({"deletionPolicy": policy} for policy in ("Delete", "Orphan")),
)
SUSPENSION: Body = {"suspend": True}

EDITS = (*LIVE_EDITS, *RESTART_EDITS, *POLICY_EDITS, *3 * (SUSPENSION, {"suspend": False}))


@dataclass
class Bout:
    """Some reconciliations, in which one call and one write may fail, and something may happen during a call.

    Attributes:
        steps: How many, each when it is due or 10 s after the last.
        call: How the next call fails; stays until there is one.
        write: How the next write fails.
        meanwhile: A change of the spec, or the object's deletion, between the next call's effect and its answer.
        spares_queries: Neither is for a query.
        heard: The watch tells of it at once.
    """

    steps: int
    call: Fault | None
    write: Fault | None
    meanwhile: Body | str | None
    spares_queries: bool
    heard: bool


DELETION = "deletion"

BOUTS = st.builds(
    Bout,
    steps=st.sampled_from([0, 1, 1, 1, 2, 2, 3, 4, 6, 10]),
    call=st.sampled_from([*CALL_FAULTS, *3 * UNCLEAR, *[None] * 12]),
    write=st.sampled_from([*WRITE_FAULTS, *[None] * 8]),
    meanwhile=st.sampled_from([*4 * (DELETION, SUSPENSION), *EDITS, *[None] * 30]),
    spares_queries=st.sampled_from([True, True, False]),
    heard=st.booleans(),
)
"""What can double or lose a task comes more often than its share."""

CHARACTERS = st.builds(
    Character,
    start_seconds=st.sampled_from([0.0, 2.0]),
    stop_seconds=st.sampled_from([0.0, 3.0]),
    conflict_names_task=st.booleans(),
    forgets_ended=st.booleans(),
    list_lag=st.sampled_from([0.0, 10.0]),
    token_age_first=st.booleans(),
)

PAUSES = st.sampled_from([0.2, 1.0, 5.0, 12.0, 65.0, 400.0, 3600.0, *3 * [23.9 * 3600], 25 * 3600.0])
