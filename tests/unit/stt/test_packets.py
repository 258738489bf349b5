"""What may arrive, before the library acts on it."""

from __future__ import annotations

import json

import pytest
from engineio.payload import Payload
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import EVENT

from agora_transcription.stt import packets
from agora_transcription.stt.packets import Malformed, Packet

EVENTS = st.text(max_size=20).filter(lambda name: name not in packets.RESERVED)


@given(
    EVENTS,
    st.none() | st.booleans() | st.text() | st.dictionaries(st.text(), st.integers()),
    st.none() | st.integers(0),
)
def test_events_are_read(event: str, payload: object, number: int | None) -> None:
    read = Packet(encoded_packet=f"2{'' if number is None else number}{json.dumps([event, payload])}")
    assert (read.packet_type, read.data, read.id) == (EVENT, [event, payload], number)


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_anything_else_is_malformed_and_nothing_worse(text: str | bytes) -> None:
    try:
        read = Packet(encoded_packet=text)
    except Malformed:
        return
    assert read.packet_type in {0, 1, 2}


@pytest.mark.parametrize(
    "text",
    [
        "2",
        "2{}",
        "2[]",
        "2[1]",
        '2["connect"]',
        '2["disconnect","a reason"]',
        '2["*"]',
        '2["a"',
        '21-["a"]',
        "3[]",
        "4",
        "5",
        "50-[]",
        "6",
        "7",
        "x",
        "0[]",
        '0"x"',
        "1{}",
        "2" + "[" * 100_000,
        "2" + "1" * 200 + '["a"]',
        '2["a",' + "1" * 200 + "]",
        b'2["a"]',
    ],
    ids=lambda text: repr(text[:20]),
)
def test_packets_that_no_client_of_the_protocol_sends(text: str | bytes) -> None:
    with pytest.raises(Malformed):
        Packet(encoded_packet=text)


@pytest.mark.parametrize("text", ["0", '0{"token":"x"}', "0/other,", "1", '2["a"]', '2/other,["a"]', '27["a",1,2]'])
def test_packets_that_clients_send(text: str) -> None:
    Packet(encoded_packet=text)


@pytest.mark.parametrize("text", ['51-["a",{"_placeholder":true,"num":0}]', '59-["a"]', '5["a"]'])
def test_an_event_with_attachments_is_read_without_them(text: str) -> None:
    read = Packet(encoded_packet=text)
    assert (read.packet_type, read.attachment_count, read.data[0]) == (EVENT, 0, "a")


def test_the_services_own_packets_are_written_as_before() -> None:
    assert Packet(EVENT, data=["session-started"]).encode() == '2["session-started"]'


@pytest.mark.parametrize(("text", "good"), [("1", True), ("3", True), ("40", True), ('42["a"]', True), ("46\n", True)])
def test_frames(text: str, good: bool) -> None:  # noqa: FBT001 - a case
    assert packets.is_frame(text) is good


@pytest.mark.parametrize("text", ["", "0", "2", "2probe", "3probe", "5", "6", "4", "4x", "47", "11", "bAAAA", "٤٢"])
def test_what_is_no_frame(text: str) -> None:
    assert not packets.is_frame(text)


def test_a_polling_request_is_taken_apart() -> None:
    assert packets.split(b'42["a"]\x1e3\x1e41') == ['42["a"]', "3", "41"]
    assert packets.split(b'451-["a"]\x1ebAAAA\x1ebAA==\x1e3') == ['451-["a"]', "3"]
    assert packets.split(b"bAAAA") == []


@pytest.mark.parametrize("body", [b"", b"\x1e", b"3\x1e", b"\xff", b"d=42", b"3\x1e2probe", b"b!", b"bA==="])
def test_a_body_with_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        packets.split(body)


def test_the_library_takes_as_many_packets_as_the_service() -> None:
    assert len(Payload(encoded_payload="\x1e".join(["3"] * packets.MAX_BATCH)).packets) == packets.MAX_BATCH
