from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("hello", "message", "gap", "heartbeat", "reply", "error", "bye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    message: Message
    gap: Gap
    heartbeat: Heartbeat
    reply: Reply
    error: Error
    bye: Bye
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., message: _Optional[_Union[Message, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., reply: _Optional[_Union[Reply, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "transport", "client", "cursor", "heartbeat", "dedupe_window", "topics", "node")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DEDUPE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    transport: str
    client: str
    cursor: str
    heartbeat: float
    dedupe_window: float
    topics: _containers.RepeatedScalarFieldContainer[str]
    node: str
    def __init__(self, protocol: _Optional[int] = ..., transport: _Optional[str] = ..., client: _Optional[str] = ..., cursor: _Optional[str] = ..., heartbeat: _Optional[float] = ..., dedupe_window: _Optional[float] = ..., topics: _Optional[_Iterable[str]] = ..., node: _Optional[str] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("topic", "cursor", "id", "event", "json", "bytes", "sender", "subject", "ts")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    topic: str
    cursor: str
    id: str
    event: str
    json: str
    bytes: bytes
    sender: str
    subject: str
    ts: float
    def __init__(self, topic: _Optional[str] = ..., cursor: _Optional[str] = ..., id: _Optional[str] = ..., event: _Optional[str] = ..., json: _Optional[str] = ..., bytes: _Optional[bytes] = ..., sender: _Optional[str] = ..., subject: _Optional[str] = ..., ts: _Optional[float] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("topics", "after", "cursor", "reason", "exact")
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedScalarFieldContainer[str]
    after: str
    cursor: str
    reason: str
    exact: bool
    def __init__(self, topics: _Optional[_Iterable[str]] = ..., after: _Optional[str] = ..., cursor: _Optional[str] = ..., reason: _Optional[str] = ..., exact: _Optional[bool] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("cursor",)
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    def __init__(self, cursor: _Optional[str] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("action", "ref", "at", "duplicate", "cursor", "topics", "json", "bytes")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    action: str
    ref: str
    at: str
    duplicate: bool
    cursor: str
    topics: _containers.RepeatedScalarFieldContainer[str]
    json: str
    bytes: bytes
    def __init__(self, action: _Optional[str] = ..., ref: _Optional[str] = ..., at: _Optional[str] = ..., duplicate: _Optional[bool] = ..., cursor: _Optional[str] = ..., topics: _Optional[_Iterable[str]] = ..., json: _Optional[str] = ..., bytes: _Optional[bytes] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "ref", "retry_after")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    ref: str
    retry_after: float
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., ref: _Optional[str] = ..., retry_after: _Optional[float] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ("reason", "reconnect_after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: str
    reconnect_after: float
    def __init__(self, reason: _Optional[str] = ..., reconnect_after: _Optional[float] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("cursor", "messages", "hello", "bye")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    messages: _containers.RepeatedCompositeFieldContainer[Frame]
    hello: Hello
    bye: Bye
    def __init__(self, cursor: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("publish", "echo", "ping", "subscribe", "unsubscribe", "refresh", "ref")
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    ECHO_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    REFRESH_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    publish: Publish
    echo: Echo
    ping: Ping
    subscribe: Subscribe
    unsubscribe: Unsubscribe
    refresh: Refresh
    ref: str
    def __init__(self, publish: _Optional[_Union[Publish, _Mapping]] = ..., echo: _Optional[_Union[Echo, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., subscribe: _Optional[_Union[Subscribe, _Mapping]] = ..., unsubscribe: _Optional[_Union[Unsubscribe, _Mapping]] = ..., refresh: _Optional[_Union[Refresh, _Mapping]] = ..., ref: _Optional[str] = ...) -> None: ...

class Publish(_message.Message):
    __slots__ = ("topic", "event", "id", "json", "bytes")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    topic: str
    event: str
    id: str
    json: str
    bytes: bytes
    def __init__(self, topic: _Optional[str] = ..., event: _Optional[str] = ..., id: _Optional[str] = ..., json: _Optional[str] = ..., bytes: _Optional[bytes] = ...) -> None: ...

class Echo(_message.Message):
    __slots__ = ("json", "bytes", "reply_to")
    JSON_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    json: str
    bytes: bytes
    reply_to: str
    def __init__(self, json: _Optional[str] = ..., bytes: _Optional[bytes] = ..., reply_to: _Optional[str] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("delay",)
    DELAY_FIELD_NUMBER: _ClassVar[int]
    delay: float
    def __init__(self, delay: _Optional[float] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("topics",)
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, topics: _Optional[_Iterable[str]] = ...) -> None: ...

class Unsubscribe(_message.Message):
    __slots__ = ("topics",)
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, topics: _Optional[_Iterable[str]] = ...) -> None: ...

class Refresh(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class Commands(_message.Message):
    __slots__ = ("commands",)
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    def __init__(self, commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ...) -> None: ...

class Answers(_message.Message):
    __slots__ = ("frames",)
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[Frame]
    def __init__(self, frames: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ...) -> None: ...
