"""The header of a file: magic, counts, metadata entries and tensor infos, each checked before it is believed.

Nothing is decoded here but keys and names. A length is compared with the file's size before anything of that length
is read, and our own limits (far above any real model) keep a hostile file from costing more than a moment.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llamakit.core.gguf import formats
from llamakit.core.gguf.labels import check_length, parse_key, parse_name
from llamakit.core.gguf.source import Source
from llamakit.core.gguf.types import (
    MAGIC,
    MAX_ARRAY_DEPTH,
    MAX_DIMS,
    MAX_KEY_BYTES,
    MAX_NAME_BYTES,
    REMOVED_TYPES,
    SCALAR_CODES,
    VERSIONS,
    GGMLType,
    ValueType,
)
from llamakit.core.gguf.values import ByteOrder, Encoding
from llamakit.errors import GGUFError

MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 17
MAX_STRINGS = 1 << 21  # strings and inner arrays, over all arrays of a header
MAX_HEADER_BYTES = 1 << 28
_READ_AHEAD = 1 << 20


@dataclass(frozen=True, slots=True)
class Field:
    """A metadata entry as it lies in the file; offsets count from the start of the file.

    `types` runs from the outside in: (STRING,), (ARRAY, INT32), (ARRAY, ARRAY, FLOAT32). The type of inner arrays is
    that of the first; when a nested array is empty the tuple ends early, with ARRAY.
    """

    key: str
    types: tuple[ValueType, ...]
    offset: int  # of the entry, which begins with the length of its key
    value_offset: int  # behind the value's type; an array begins with its element type
    end: int
    n_values: int  # elements of an array (the outermost), else 1


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as the header declares it; nothing is known yet of how it fits its type or the file."""

    name: str
    shape: tuple[int, ...]  # GGUF order: fastest first
    type: GGMLType
    data_offset: int  # from the start of the tensor data
    offset: int  # of this entry in the file


@dataclass(frozen=True, slots=True)
class Header:
    version: int
    encoding: Encoding
    fields: dict[str, Field]
    tensors: list[TensorInfo]
    raw: bytes  # the file's first bytes, up to the end of the header

    @property
    def n_bytes(self) -> int:
        return len(self.raw)


def read_header(source: Source) -> Header:
    """Scan the header of a file; raises GGUFError naming the byte where it stops making sense."""
    scanner = _Scanner(source)
    scanner.start()
    n_tensors, n_fields = scanner.counts()
    fields = scanner.fields(n_fields)
    tensors = scanner.tensors(n_tensors)
    return Header(scanner.encoding.version, scanner.encoding, fields, tensors, bytes(scanner.buffer[: scanner.offset]))


class _Scanner:
    """Walks a header once, from front to back, reading on as it goes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.size = source.size
        self.buffer = bytearray()
        self.offset = 0
        self.encoding = Encoding()
        self.n_strings = 0

    def error(self, offset: int, message: str) -> GGUFError:
        return GGUFError(self.source.path, offset, message)

    def need(self, end: int, what: str, offset: int | None = None) -> None:
        """Make `buffer` reach to `end`, or say that `what`, which begins at `offset`, does not fit."""
        if end <= len(self.buffer):
            return
        at = self.offset if offset is None else offset
        if end > self.size:
            raise self.error(at, f"{what} does not fit: the file ends at byte {self.size}; is it cut short?")
        if end > MAX_HEADER_BYTES:
            raise self.error(at, f"{what} makes the header longer than {MAX_HEADER_BYTES >> 20} MiB")
        have = len(self.buffer)
        ahead = min(self.size, MAX_HEADER_BYTES, max(end, have + max(have, _READ_AHEAD)))
        self.buffer += self.source.read(have, ahead - have)

    def number(self, form: struct.Struct, what: str) -> int:
        self.need(self.offset + form.size, what)
        (value,) = form.unpack_from(self.buffer, self.offset)
        self.offset += form.size
        return int(value)

    def u32(self, what: str) -> int:
        return self.number(self.encoding.u32, what)

    def length(self, what: str) -> int:
        return self.number(self.encoding.length, what)

    def start(self) -> None:
        """Magic and version, which together tell the byte order."""
        if self.size == 0:
            raise self.error(0, "truncated header: the file is empty; copy or download it again")
        head = self.source.read(0, min(self.size, formats.HEAD_BYTES))
        if not head.startswith(MAGIC[: self.size]):
            raise self.error(0, f"not a GGUF file: it is {formats.guess(head)}")
        if self.size < 8:
            raise self.error(self.size, f"truncated header: the file has {self.size} bytes; download it again")
        version, order = head[4:8], "little"
        number = int.from_bytes(version, "little")
        if number not in VERSIONS and int.from_bytes(version, "big") in VERSIONS:
            number, order = int.from_bytes(version, "big"), "big"
        if number not in VERSIONS:
            raise self.error(4, f"GGUF version {number} is not supported (only 1 to 3); is a newer llamakit out?")
        byte_order: ByteOrder = "little" if order == "little" else "big"
        self.encoding = Encoding(byte_order, number)
        self.offset = 8

    def counts(self) -> tuple[int, int]:
        """Numbers of tensors and of metadata entries, bounded by what the file could hold."""
        width = self.encoding.length.size
        if self.size < 8 + 2 * width:
            raise self.error(self.size, f"truncated header: the file has {self.size} bytes; download it again")
        n_tensors = self.length("the number of tensors")
        n_fields = self.length("the number of metadata entries")
        rest = self.size - self.offset
        # The least they take: name, number of dimensions, one dimension, type, offset; key, type, value of one byte.
        for n, least, most, what, at in (
            (n_tensors, width + 4 + width + 4 + 8, MAX_TENSORS, "tensors", 8),
            (n_fields, width + 4 + 1, MAX_KEYS, "metadata entries", 8 + width),
        ):
            if n * least > rest:
                raise self.error(at, f"{n} {what} do not fit in the {rest} bytes behind; the header is damaged")
            if n > most:
                raise self.error(at, f"{n} {what} are more than the {most} this reader takes")
        return n_tensors, n_fields

    def fields(self, n: int) -> dict[str, Field]:
        fields: dict[str, Field] = {}
        for _ in range(n):
            field = self.field()
            if field.key in fields:
                first = fields[field.key].offset
                raise self.error(field.offset, f"key {field.key!r} was already given at byte {first}; remove one")
            fields[field.key] = field
        return fields

    def field(self) -> Field:
        offset = self.offset
        key = self.label(parse_key, MAX_KEY_BYTES, "metadata key")
        type_ = self.value_type(f"the type of {key!r}")
        start, n_values = self.offset, 1
        types: tuple[ValueType, ...] = (type_,)
        if type_ is ValueType.ARRAY:
            types, n_values = self.skip_array(key)
        elif type_ is ValueType.STRING:
            self.skip_strings(1, key)
        else:
            self.skip_scalars(type_, 1, key)
        return Field(key, types, offset, start, self.offset, n_values)

    def label(self, parse: Callable[[bytes], str], most: int, what: str) -> str:
        """A key or a tensor's name, of at most `most` bytes."""
        start = self.offset
        n_bytes = self.length(f"the length of a {what}")
        try:
            check_length(n_bytes, most, what)
            self.need(self.offset + n_bytes, f"a {what} of {n_bytes} bytes", start)
            self.offset += n_bytes
            return parse(bytes(self.buffer[self.offset - n_bytes : self.offset]))
        except ValueError as error:
            raise self.error(start, str(error)) from None

    def value_type(self, what: str) -> ValueType:
        number = self.u32(what)
        try:
            return ValueType(number)
        except ValueError:
            raise self.error(self.offset - 4, f"{what} is {number}, which is no value type (0 to 12)") from None

    def skip_array(self, key: str) -> tuple[tuple[ValueType, ...], int]:
        """Walk an array, nested or not; returns its types from the outside in and its outermost length."""
        types = [ValueType.ARRAY]
        unseen: list[int] = []  # for each open array of arrays, how many of its arrays are still to come
        outermost: int | None = None
        while True:
            start = self.offset
            element_type = self.value_type(f"the element type of {key!r}")
            n = self.length(f"the length of {key!r}")
            outermost = n if outermost is None else outermost
            if len(types) == len(unseen) + 1:
                types.append(element_type)
            if element_type is ValueType.ARRAY:
                if len(unseen) + 2 > MAX_ARRAY_DEPTH:
                    raise self.error(start, f"the arrays of {key!r} are nested deeper than {MAX_ARRAY_DEPTH}")
                self.admit(n, 4 + self.encoding.length.size, f"{key!r}, {n} arrays,", start)
                unseen.append(n)
            elif element_type is ValueType.STRING:
                self.skip_strings(n, key)
            else:
                self.skip_scalars(element_type, n, key)
            while unseen and unseen[-1] == 0:
                unseen.pop()
            if not unseen:
                return tuple(types), outermost
            unseen[-1] -= 1

    def admit(self, n: int, least: int, what: str, start: int) -> None:
        """Refuse `n` things of at least `least` bytes each that cannot all lie in the file, or are too many."""
        if self.offset + n * least > self.size:
            message = f"{what} does not fit: the file ends at byte {self.size}; is it cut short?"
            raise self.error(start, message)
        self.n_strings += n
        if self.n_strings > MAX_STRINGS:
            raise self.error(start, f"{what} exceeds the {MAX_STRINGS} strings this reader takes in a header")

    def skip_scalars(self, type_: ValueType, n: int, key: str) -> None:
        n_bytes = n * struct.calcsize("<" + SCALAR_CODES[type_])
        self.need(self.offset + n_bytes, f"the value of {key!r}, {n_bytes} bytes,")
        if type_ is ValueType.BOOL:
            values = np.frombuffer(bytes(self.buffer[self.offset : self.offset + n_bytes]), np.uint8)
            if n and values.max() > 1:
                at = self.offset + int(np.argmax(values > 1))
                raise self.error(at, f"{key!r} holds a truth value that is neither 0 nor 1")
        self.offset += n_bytes

    def skip_strings(self, n: int, key: str) -> None:
        """Walk `n` strings. Vocabularies have 10^5 to 10^6 of them: the loop does nothing but add."""
        unpack, width = self.encoding.length.unpack_from, self.encoding.length.size
        start = position = self.offset
        self.admit(n, width, f"{key!r}, {n} strings,", start)
        buffer, strings = self.buffer, iter(range(n))
        while True:
            try:
                for _ in strings:
                    position, start = position + width + unpack(buffer, position)[0], position
                break
            except (struct.error, OverflowError):
                # The buffer has ended: read on, or learn that a string leads out of the file.
                self.need(position, f"a string of {key!r}", start)
                self.need(position + width, f"the length of a string of {key!r}", position)
                position, start = position + width + unpack(buffer, position)[0], position
        self.need(position, f"a string of {key!r}", start)
        self.offset = position

    def tensors(self, n: int) -> list[TensorInfo]:
        infos: dict[str, TensorInfo] = {}
        for _ in range(n):
            info = self.tensor()
            if info.name in infos:
                first = infos[info.name].offset
                raise self.error(info.offset, f"tensor {info.name!r} was already declared at byte {first}")
            infos[info.name] = info
        return list(infos.values())

    def tensor(self) -> TensorInfo:
        start = self.offset
        name = self.label(parse_name, MAX_NAME_BYTES, "tensor name")
        n_dims = self.u32(f"the number of dimensions of {name!r}")
        if not 1 <= n_dims <= MAX_DIMS:
            raise self.error(self.offset - 4, f"tensor {name!r} has {n_dims} dimensions; 1 to {MAX_DIMS} are allowed")
        shape = tuple(self.length(f"dimension {i} of {name!r}") for i in range(n_dims))
        number = self.u32(f"the type of {name!r}")
        if number in REMOVED_TYPES:
            message = f"tensor {name!r} has type {REMOVED_TYPES[number]}, removed from ggml; quantize the model anew"
            raise self.error(self.offset - 4, message)
        try:
            type_ = GGMLType(number)
        except ValueError:
            message = f"tensor {name!r} has the unknown type {number}; is a newer llamakit out?"
            raise self.error(self.offset - 4, message) from None
        data_offset = self.number(self.encoding.u64, f"the data offset of {name!r}")
        return TensorInfo(name, shape, type_, data_offset, start)
