from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Text(_message.Message):
    __slots__ = ("uid", "time", "words", "end_of_segment", "duration_ms", "data_type", "trans", "culture", "text_ts", "original_transcript", "sentence_id")
    UID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    END_OF_SEGMENT_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    TRANS_FIELD_NUMBER: _ClassVar[int]
    CULTURE_FIELD_NUMBER: _ClassVar[int]
    TEXT_TS_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_ID_FIELD_NUMBER: _ClassVar[int]
    uid: int
    time: int
    words: _containers.RepeatedCompositeFieldContainer[Word]
    end_of_segment: bool
    duration_ms: int
    data_type: str
    trans: _containers.RepeatedCompositeFieldContainer[Translation]
    culture: str
    text_ts: int
    original_transcript: OriginalTranscript
    sentence_id: int
    def __init__(self, uid: _Optional[int] = ..., time: _Optional[int] = ..., words: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., end_of_segment: _Optional[bool] = ..., duration_ms: _Optional[int] = ..., data_type: _Optional[str] = ..., trans: _Optional[_Iterable[_Union[Translation, _Mapping]]] = ..., culture: _Optional[str] = ..., text_ts: _Optional[int] = ..., original_transcript: _Optional[_Union[OriginalTranscript, _Mapping]] = ..., sentence_id: _Optional[int] = ...) -> None: ...

class Word(_message.Message):
    __slots__ = ("text", "start_ms", "duration_ms", "is_final", "confidence")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    text: str
    start_ms: int
    duration_ms: int
    is_final: bool
    confidence: float
    def __init__(self, text: _Optional[str] = ..., start_ms: _Optional[int] = ..., duration_ms: _Optional[int] = ..., is_final: _Optional[bool] = ..., confidence: _Optional[float] = ...) -> None: ...

class Translation(_message.Message):
    __slots__ = ("is_final", "lang", "texts")
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    LANG_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    is_final: bool
    lang: str
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, is_final: _Optional[bool] = ..., lang: _Optional[str] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class OriginalTranscript(_message.Message):
    __slots__ = ("culture", "words")
    CULTURE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    culture: str
    words: _containers.RepeatedCompositeFieldContainer[Word]
    def __init__(self, culture: _Optional[str] = ..., words: _Optional[_Iterable[_Union[Word, _Mapping]]] = ...) -> None: ...
