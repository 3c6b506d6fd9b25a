"""A sequence of a context as bytes: saved now, gone on with later, by this process or another.

    8 bytes     MAGIC
    u32, u32    VERSION, bytes of the JSON text
    text        JSON: `identity` (see identity.py), counts of all that follows, `extra`
    i32[]       tokens
    bytes       the sampler's state
    bytes       cells, as kv/state.py orders them
    u64         XXH64 of all before

All numbers are little-endian. Nothing is believed before the checksum has been compared, and then every count is
checked against the context, as a checksum is no signature.
"""

from __future__ import annotations

import io
import json
import os
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.identity import NAMES, identity
from llamakit.core.gguf.output import OutputFile
from llamakit.core.kernels.checksum import XXH64
from llamakit.core.kv.state import n_bytes_of, read_cells, write_cells
from llamakit.errors import LlamakitError, printable

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

MAGIC, VERSION = b"llmkstat", 1
FIXED = struct.Struct("<8sII")
CHECKSUM_BYTES = 8
PIECE = 1 << 20  # bytes read at once for the checksum
MOST_TEXT = 16 << 20  # bytes of JSON
COUNTS = ("n_past", "n_grouped", "n_merged", "n_tokens", "n_sampler", "n_cells")

Bytes = npt.NDArray[np.uint8]


class StateError(LlamakitError):
    """A state that cannot be used in this context, or is none."""


class DamagedState(StateError):
    """A state whose bytes are not those that were written: nothing in it can be relied on."""


@dataclass(frozen=True)
class State:
    """What is kept of a sequence besides its cells. `extra` is the caller's, anything that JSON can hold."""

    tokens: list[int] = field(default_factory=list)
    n_past: int = 0  # positions in the cache
    sampler: bytes = b""
    extra: Mapping[str, Any] = field(default_factory=dict)


def save_state(
    context: Context,
    tokens: Sequence[int] = (),
    seq: int = 0,
    *,
    sampler: bytes = b"",
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """A sequence's cells, with the tokens and the sampler's state that the caller wants back. See `load_state`."""
    out = io.BytesIO()
    write_state(context, out.write, tokens, seq, sampler, extra or {})
    return out.getvalue()


def load_state(context: Context, data: bytes | memoryview, seq: int = 0) -> State:
    """Let a sequence be what `save_state` has seen: the logits of later tokens have the same bits.

    The sequence forgets what it had, others stay. The context may be another one, of any length that holds the
    positions, and of any number of threads. Raises DamagedState, or StateError naming what differs, before anything
    is changed; ModelError when the other sequences leave no room.
    """
    return read_state(context, io.BytesIO(data), "the state", seq)


def save_file(
    context: Context,
    path: str | os.PathLike[str],
    tokens: Sequence[int] = (),
    seq: int = 0,
    *,
    sampler: bytes = b"",
    extra: Mapping[str, Any] | None = None,
) -> None:
    """`save_state` into a file, which appears when it is whole; an old one stays as it is until then.

    Raises GGUFError for what the system refuses, also when another process is writing the same file.
    """
    output, offset = OutputFile(path), 0

    def write(data: bytes | memoryview) -> None:
        nonlocal offset
        output.write(offset, data)
        offset += len(data)

    try:
        write_state(context, write, tokens, seq, sampler, extra or {})
        output.commit(offset)
    finally:
        output.discard()


def load_file(context: Context, path: str | os.PathLike[str], seq: int = 0) -> State:
    """`load_state` from a file; at no time is more of it in memory than one head of one layer."""
    name = printable(str(path))
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise StateError(f"{name}: is not a regular file")
        with Path(path).open("rb") as file:
            return read_state(context, file, name, seq)
    except OSError as error:
        raise StateError(f"{name}: {error.strerror}") from None


def write_state(
    context: Context,
    write: Callable[[bytes | memoryview], object],
    tokens: Sequence[int],
    seq: int,
    sampler: bytes,
    extra: Mapping[str, Any],
) -> None:
    n_past, sequences, hasher = context.n_past(seq), context.cache.sequences, XXH64()
    header = {
        "identity": identity(context),
        "n_past": n_past,
        "n_grouped": sequences.n_grouped[seq],
        "n_merged": sequences.n_merged[seq],
        "n_tokens": len(tokens),
        "n_sampler": len(sampler),
        "n_cells": n_bytes_of(context.cache, n_past),
        "extra": dict(extra),
    }
    text = json.dumps(header).encode()
    if len(text) > MOST_TEXT:
        raise StateError(f"a state cannot hold {len(text):,} bytes of text; the limit is {MOST_TEXT:,}")

    def put(data: bytes | memoryview) -> None:
        hasher.update(data)
        write(data)

    put(FIXED.pack(MAGIC, VERSION, len(text)))
    put(text)
    put(np.asarray(tokens, "<i4").tobytes())
    put(sampler)
    for piece in read_cells(context.cache, seq):
        put(piece.data)
    write(int(hasher.hexdigest(), 16).to_bytes(CHECKSUM_BYTES, "little"))


def read_state(context: Context, file: BinaryIO, name: str, seq: int) -> State:
    """`load_state` from any file that can seek; `name` is for messages."""
    n_text, n_bytes = check_bytes(file, name)
    header = read_header(file.read(n_text), name)
    check_identity(context, header["identity"], name)
    n_past, n_grouped, n_merged, n_tokens, n_sampler, n_cells = (header[count] for count in COUNTS)
    n_expected = FIXED.size + n_text + 4 * n_tokens + n_sampler + n_cells + CHECKSUM_BYTES
    fit = n_merged <= n_grouped <= n_past and n_cells == n_bytes_of(context.cache, n_past)
    if n_expected != n_bytes or not fit:
        raise DamagedState(f"{name}: is damaged: its counts do not fit together")
    if n_past > context.n_ctx:
        raise StateError(f"{name}: holds {n_past} positions, and the context {context.n_ctx}; use a larger one (-c)")
    tokens = np.frombuffer(file.read(4 * n_tokens), "<i4")
    if n_tokens and not 0 <= tokens.min() <= tokens.max() < context.n_vocab:
        raise DamagedState(f"{name}: is damaged: it has tokens that the model does not know")
    sampler = file.read(n_sampler)

    def read(n: int) -> Bytes:
        data = file.read(n)
        if len(data) < n:
            raise DamagedState(f"{name}: became shorter while it was read")
        return np.frombuffer(data, np.uint8)

    write_cells(context.cache, seq, n_past, read)
    sequences = context.cache.sequences
    sequences.n_grouped[seq], sequences.n_merged[seq] = n_grouped, n_merged
    return State(tokens.tolist(), n_past, sampler, header["extra"])


def check_bytes(file: BinaryIO, name: str) -> tuple[int, int]:
    """Is it a state, whole and as it was written? Returns the bytes of its JSON text and of all; stands at the text."""
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    begin = file.read(FIXED.size)
    if not begin or begin[: len(MAGIC)] != MAGIC[: len(begin)]:
        raise StateError(f"{name}: is no saved state of llamakit" + (": it is empty" if not begin else ""))
    if n_bytes < FIXED.size + CHECKSUM_BYTES:
        raise DamagedState(f"{name}: is cut short, at {n_bytes} bytes")
    _, version, n_text = FIXED.unpack(begin)
    if version != VERSION:
        raise StateError(f"{name}: has version {version} of the format, this llamakit reads version {VERSION}")
    hasher, left = XXH64(), n_bytes - FIXED.size - CHECKSUM_BYTES
    hasher.update(begin)
    while left > 0 and (piece := file.read(min(PIECE, left))):
        hasher.update(piece)
        left -= len(piece)
    if left or int(hasher.hexdigest(), 16) != int.from_bytes(file.read(CHECKSUM_BYTES), "little"):
        raise DamagedState(f"{name}: is damaged or cut short: its checksum does not match")
    if n_text > min(MOST_TEXT, n_bytes):
        raise DamagedState(f"{name}: is damaged: a header of {n_text:,} bytes")
    file.seek(FIXED.size)
    return n_text, n_bytes


def read_header(text: bytes, name: str) -> dict[str, Any]:
    """The JSON object, with every entry that is needed, of its type."""
    try:
        header: Any = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not all(isinstance(header.get(key), dict) for key in ("identity", "extra")):
        raise DamagedState(f"{name}: is damaged: its header makes no sense")
    for count in COUNTS:
        if type(header.get(count)) is not int or header[count] < 0:
            raise DamagedState(f"{name}: is damaged: {count} is no number of things")
    return header


def check_identity(context: Context, theirs: Mapping[str, Any], name: str) -> None:
    """Raises StateError where the state was saved with something that is not in force here."""
    for entry, ours in identity(context).items():
        if theirs.get(entry) != ours:
            shown = f" ({theirs.get(entry)}; here: {ours})" if " " in ours else ""
            raise StateError(f"{name}: cannot be used here: it was saved with {NAMES[entry]}{printable(shown)}")
