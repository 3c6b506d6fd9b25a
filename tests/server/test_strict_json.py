from __future__ import annotations

import pytest

from llamakit.errors import UsageError
from llamakit.server.strict_json import parse_json


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b'{"b": {"a": 1, "a": 2}}', "'a' twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "1e999"),
        (b'{"a": 1' + b"0" * 400 + b"}", "401 digits"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 400 + b"1" + b"}" * 400, "nested"),
        ("你好".encode("gbk"), "not UTF-8: byte 0"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": 1} x', "line 1, column 10"),
    ],
)
def test_fault_70_odd_json_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        parse_json(data)


@pytest.mark.parametrize(
    "data, value",
    [
        (b'{"a": [1, 2.5, null, true, "\xe4\xbd\xa0"]}', {"a": [1, 2.5, None, True, "你"]}),
        (b'"\\ud83d\\ude00 \\ud83d!"', "😀 \ufffd!"),
        (b'{"\\ud800": ["\\uDFFF"]}', {"\ufffd": ["\ufffd"]}),
        (b"[[[]]]", [[[]]]),
    ],
)
def test_good_json_is_read(data: bytes, value: object) -> None:
    assert parse_json(data) == value


def test_what_is_nested_as_much_as_may_be_is_read() -> None:
    parse_json(b"[" * 200 + b"]" * 200)
