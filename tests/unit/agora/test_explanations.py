"""Error bodies of every shape become one line that anybody may read."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agora_transcription.agora import Account, TokenVersion, mint_rtc_token
from agora_transcription.agora.explanations import explain, presentable

SHAPES = [
    ('{"detail": "bad languages", "reason": "InvalidRequestBody"}', "InvalidRequestBody", "bad languages"),
    ('{"details": "bad languages", "reason": "InvalidRequestBody"}', "InvalidRequestBody", "bad languages"),
    ('{"message": "Invalid authentication credentials"}', "", "Invalid authentication credentials"),
    ('{"message": "", "detail": "x"}', "", "x"),
    ('{"code": 49, "reason": "repeated"}', "repeated", ""),
    ('{"code": 49}', "49", ""),
    ('{"message": "m", "agent_id": "a", "status": "FAILED"}', "", "m"),
    ('[{"detail": "first"}, {"detail": "second"}]', "", "first"),
    ('{"detail": [{"loc": ["body", "languages"]}]}', "", '[{"loc":["body","languages"]}]'),
    ('{"error": "quota"}', "", '{"error":"quota"}'),
    ('"just text"', "", "just text"),
    ("{}", "", ""),
    ("[]", "", "[]"),
    ("null", "", "null"),
    ("", "", ""),
    ("upstream connect error", "", "upstream connect error"),
    ('{"detail": "cut o', "", '{"detail": "cut o'),
    ("<html><head><title>502</title></head>\n<body>\r\n<h1>Bad  Gateway</h1></body>", "", "502 Bad Gateway"),
    ("two\nlines\twith \x1b[31mcolour", "", "two lines with [31mcolour"),
]


@pytest.mark.parametrize(("body", "reason", "text"), SHAPES)
def test_shapes(body: str, reason: str, text: str) -> None:
    said = explain(body.encode())
    assert (said.reason, said.text) == (reason, text)


def test_text_is_shortened_to_what_a_terminal_shows() -> None:
    said = explain(json.dumps({"detail": "word " * 100, "reason": "R" * 100}).encode())
    assert len(said.text) == 200
    assert said.text.endswith("…")
    assert len(said.reason) == 64


@pytest.mark.parametrize(
    "body", [b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 10_000, b'"\\ud800"', b"<" * 60_000]
)
def test_hostile_bodies_are_read_without_harm(body: bytes) -> None:
    explain(body).text.encode()


@pytest.mark.parametrize(
    "piece",
    ["taskid", "taskId is ", "token: ", "token:", "token=", "basic ", "a", "a1", "<", "a-_", '"', "secret.", "</"],
)
def test_no_body_takes_long_to_read(piece: str) -> None:
    began = time.process_time()
    explain((piece * 65_536)[:65_536].encode(), [SecretStr("demo-secret")])
    assert time.process_time() - began < 1


@pytest.mark.parametrize("code", [True, 4.9, "4 9", 10**400, "9" * 400, -1, "-1", [49], "٤٩"])
def test_what_is_no_code_is_none(code: object) -> None:
    assert explain(json.dumps({"code": code}).encode()).code is None


ACCOUNT = Account(
    app_id="0123456789abcdef0123456789abcdef",
    customer_id="demo-customer",
    customer_secret=SecretStr("demo-secret"),
    app_certificate=SecretStr("fedcba9876543210fedcba9876543210"),
)
MASKS = [
    ("{}", "as it is"),
    ('{{"detail": "bad: {}"}}', "in a field"),
    ('{{"reason": "{}"}}', "as the reason"),
    ('{{"echo": {{"rtcConfig": {{"pubBotToken": "{}"}}}}}}', "in an echoed body"),
    ("<html><body>GET /tasks?builderToken={} HTTP/1.1</body></html>", "in a page"),
    ('{{"detail": "{}', "in JSON cut off"),
]


@pytest.mark.parametrize(("shape", "_where"), MASKS, ids=[where for _, where in MASKS])
@given(
    version=st.sampled_from(TokenVersion),
    channel=st.text("abcdefgh", min_size=1, max_size=64),
    uid=st.integers(1, 2**32 - 1),
)
def test_no_rtc_token_passes_even_where_it_is_not_known(
    shape: str, _where: str, version: TokenVersion, channel: str, uid: int
) -> None:
    minted = mint_rtc_token(ACCOUNT, channel, str(uid), version=version, now=datetime(2026, 11, 21, tzinfo=UTC))
    assert minted is not None
    token = minted.get_secret_value()
    said = explain(shape.format(token).encode())
    for piece in (token[at : at + 24] for at in range(0, len(token) - 24, 4)):
        assert piece not in said.text + said.reason


@pytest.mark.parametrize(("shape", "_where"), MASKS, ids=[where for _, where in MASKS])
@given(
    secret=st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789+/=_-%& ", min_size=6, max_size=300).filter(
        lambda secret: secret == " ".join(secret.split())
    ),
    before=st.text("xyz .", max_size=250),
    spell=st.sampled_from([str, quote, lambda secret: quote(secret, safe="")]),
)
def test_no_known_secret_passes_whatever_it_looks_like(
    shape: str, _where: str, secret: str, before: str, spell: object
) -> None:
    assert callable(spell)
    spelled = spell(secret)
    said = explain(shape.format(before + spelled).encode(), [SecretStr(secret)])
    for shown in (said.text, said.reason):
        assert spelled not in shown
        assert secret not in shown


@given(body=st.binary(), secret=st.text(min_size=4))
def test_any_bytes_are_read(body: bytes, secret: str) -> None:
    said = explain(body, [SecretStr(secret)])
    assert len(said.text) <= 200
    assert len(said.reason) <= 64
    assert (said.text + said.reason).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["detail", "details", "message", "reason", "code", "agent_id", "taskId", "data"]), inner
        )
    ),
    max_leaves=8,
)


@given(document=JSON)
def test_any_json_is_read(document: object) -> None:
    said = explain(json.dumps(document).encode())
    assert said.task_id is None or said.task_id in json.dumps(document) or not said.task_id.isascii()
    assert (said.text + said.reason).isprintable()


UNMASKED = [
    "The task has been started, current status is STARTED",
    "resourceId reaches out the limited time interval!",
    "body schema check fail, rtcConfig.subscribeAudioUids.0: not a string",
    "ResourceQuotaLimitExceeded",
    "Token is expired",
    "The taskId does not match with builderToken.",
    "Task exceeded maximum lifetime",
    "rtcConfig.pubBotToken: required, the project has an app certificate",
    "rtcConfig.pubBotToken: valid for more than a day.",
]


@pytest.mark.parametrize("text", UNMASKED)
def test_what_agora_says_to_people_is_kept(text: str) -> None:
    assert presentable(text) == text


MASKED = [
    ("Authorization: Basic ZGVtby1jdXN0b21lcjpkZW1v", "ZGVtby1jdXN0b21lcjpkZW1v"),
    ("basic dXNlcjpwYXNz was refused", "dXNlcjpwYXNz"),
    ("customerSecret=hunter2 is wrong", "hunter2"),
    ('{"password": "hunter2"}', "hunter2"),
    ("password='hunter'", "hunter"),
    ('{"secret": "hunter"}', "hunter"),
    ("password: hunter2", "hunter2"),
    ("accessKey: AKIA, secretKey: abc/def", "abc/def"),
    (base64.b64encode(bytes(range(40))).decode(), "AAECAwQF"),
]


@pytest.mark.parametrize(("text", "secret"), MASKED)
def test_what_looks_like_a_secret_is_cut_out(text: str, secret: str) -> None:
    assert secret not in presentable(text)
    assert "***" in presentable(text)
