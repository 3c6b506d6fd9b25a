"""How kernels look bytes up in large tables: 128 entries an instruction with AVX-512 VBMI, else byte by byte.

Only compiler processes import this module. `b` is an `Emitter`.
"""

from __future__ import annotations

import hashlib

import numpy as np
from llvmlite import ir

from llamakit.core.simd.types import I8, I16, I32, I64

REACH = 128  # entries that one instruction sees
BYTES, WORDS = ir.VectorType(I8, 64), ir.VectorType(I32, 16)


def address(b, table):
    """Of a table's entries, which lie beside the code."""
    data = table.make()
    name = f"table.{hashlib.sha256(data).hexdigest()[:16]}"
    place = b.module.globals.get(name)
    if place is None:
        place = ir.GlobalVariable(b.module, ir.ArrayType(I8, len(data)), name)
        place.linkage, place.global_constant = "internal", True
        place.align, place.initializer = 64, ir.Constant(place.value_type, bytearray(data))
    return b.bitcast(place, I8.as_pointer())


def look_up_large(b, table, low, high):
    """Each byte of `low` (bits 0-7 of an index) with that of `high` (the bits above) to its entry."""
    entries = np.frombuffer(table.make(), np.uint8)
    if not b.target.has_vbmi:
        return one_by_one(b, table, low, high)
    if len(entries) > 4 * REACH and is_stepwise(entries):
        return b.bitcast(by_steps(b, entries, low, high), WORDS)
    return b.bitcast(by_choice(b, entries, b.bitcast(low, BYTES), b.bitcast(high, BYTES)), WORDS)


def repeated(number, kind=BYTES):
    return ir.Constant(kind, [int(number)] * kind.count)


def look_up_128(b, entries, indices):
    """By bits 0-6 of each byte of the indices."""
    halves = (ir.Constant(BYTES, [int(n) for n in half]) for half in entries.reshape(2, 64))
    first, second = halves
    return b.call("llvm.x86.avx512.vpermi2var.qi.512", BYTES, first, indices, second)


def by_choice(b, entries, low, high):
    """What each 128 entries have; then, for every further bit of the index, one of two."""
    found = [look_up_128(b, part, low) for part in entries.reshape(-1, REACH)]
    bit, bits = 7, low
    while len(found) > 1:
        is_set = b.icmp_unsigned("!=", b.and_(bits, repeated(1 << bit)), repeated(0))
        found = [b.select(is_set, found[i + 1], found[i]) for i in range(0, len(found), 2)]
        bit, bits = (0, high) if bits is low else (bit + 1, high)
    return found[0]


def changes(entries):
    """Where an entry differs from the one before, in each of 128 runs."""
    return np.diff(entries.reshape(REACH, -1).astype(int), axis=1) != 0


def is_stepwise(entries):
    """Whether the table changes at most once in each of 128 runs of equal length."""
    return bool(changes(entries).sum(axis=1).max() <= 1)


def by_steps(b, entries, low, high):
    """The first or the last entry of the run, depending on the side of its border that the index lies on."""
    runs, is_change = entries.reshape(REACH, -1), changes(entries)
    length = runs.shape[1]
    borders = np.where(is_change.any(axis=1), is_change.argmax(axis=1) + 1, length)
    n_bits = length.bit_length() - 1
    upper = b.and_(b.lshr(low, repeated(n_bits, WORDS)), b.bitcast(repeated(0xFF >> n_bits), WORDS))
    above = b.and_(b.shl(high, repeated(8 - n_bits, WORDS)), b.bitcast(repeated(0xFF << 8 - n_bits & 0xFF), WORDS))
    run = b.bitcast(b.or_(upper, above), BYTES)
    place = b.and_(b.bitcast(low, BYTES), repeated(length - 1))
    is_before = b.icmp_unsigned("<", place, look_up_128(b, borders, run))
    return b.select(is_before, look_up_128(b, runs[:, 0], run), look_up_128(b, runs[:, -1], run))


def one_by_one(b, table, low, high):
    """Sixty-four loads."""
    kind = ir.VectorType(I16, 64)
    indices = b.or_(b.zext(b.bitcast(low, BYTES), kind), b.shl(b.zext(b.bitcast(high, BYTES), kind), repeated(8, kind)))
    indices, entries = b.and_(indices, repeated(table.n_bytes - 1, kind)), address(b, table)
    found = ir.Constant(BYTES, ir.Undefined)
    for lane in range(64):
        place = b.zext(b.extract(indices, lane), I64)
        found = b.insert_element(found, b.load(b.gep(entries, [place])), I32(lane))
    return b.bitcast(found, WORDS)
