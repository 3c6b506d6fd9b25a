"""A saved sequence goes on with the bits of one that never stopped; what is no state of it is refused."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.load import load_model
from llamakit.core.engine.state import (
    CHECKSUM_BYTES,
    FIXED,
    DamagedState,
    State,
    StateError,
    load_file,
    load_state,
    save_file,
    save_state,
)
from llamakit.core.kernels.checksum import XXH64
from llamakit.core.kernels.kv_cells import CELL_TYPES
from llamakit.errors import GGUFError, ModelError

from ...kills import kill_at_each_step
from ...running import logits_of, open_context
from ...tiny import Tiny, write_tiny

ROOT = Path(__file__).parents[3]
TINY = Tiny(type="q8_0")
TOKENS = np.random.default_rng(4).integers(0, TINY.n_vocab, 200)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)


@pytest.fixture(scope="module")
def context(path):
    with open_context(path, n_seq_max=2) as context:
        yield context


@pytest.fixture(scope="module")
def whole(context):
    return logits_of(context, TOKENS, len(TOKENS))


def saved(context, n, **options) -> bytes:
    logits_of(context, TOKENS[:n], n)
    return save_state(context, TOKENS[:n].tolist(), **options)


@pytest.mark.parametrize("n", [1, 63, 64, 100, 199])
def test_what_follows_has_the_bits_of_an_unbroken_sequence(context, whole, n):
    state = saved(context, n)
    logits_of(context, TOKENS[50:80], 30)
    assert load_state(context, state) == State(TOKENS[:n].tolist(), n)
    np.testing.assert_array_equal(context.prefill(TOKENS[n:]), whole[-1])


@pytest.mark.parametrize("options", [{"n_ctx": 201}, {"n_threads": 1}, {"n_ubatch": 7}, {"n_seq_max": 3}])
def test_the_other_context_may_be_of_another_size(context, path, whole, options):
    state = saved(context, 100)
    with open_context(path, **options) as other:
        other.load_state(state)
        np.testing.assert_array_equal(other.prefill(TOKENS[100:]), whole[-1])


@pytest.mark.parametrize("name", CELL_TYPES)
def test_every_type_of_cache_can_be_saved(path, name):
    with open_context(path, type_k=name, type_v=name) as context:
        wanted = logits_of(context, TOKENS, 200)
        state = saved(context, 90)
        context.truncate(0)
        load_state(context, state)
        np.testing.assert_array_equal(context.prefill(TOKENS[90:]), wanted[-1])


def test_only_the_sequence_asked_for_changes(context, whole):
    state = saved(context, 100)
    context.truncate(0)
    context.cache.truncate(1, 0)
    context.prefill(TOKENS[:30], 1)
    load_state(context, state, 0)
    np.testing.assert_array_equal(context.prefill(TOKENS[30:90], 1), whole[89])
    load_state(context, state, 1)
    context.truncate(0)
    np.testing.assert_array_equal(context.prefill(TOKENS[100:], 1), whole[-1])
    context.truncate(0, 1)


def test_a_state_survives_context_shift_and_self_extend(path):
    with open_context(path) as context:
        context.prefill(TOKENS[:150])
        context.shift(4, 60)
        state, wanted = save_state(context), context.step(7)
        context.truncate(0)
        context.prefill(TOKENS[:120])
        context.group(64, 4)
        grouped, after_group = save_state(context), context.step(7)
        load_state(context, state)
        np.testing.assert_array_equal(context.step(7), wanted)
        load_state(context, grouped)
        np.testing.assert_array_equal(context.step(7), after_group)
        assert context.n_ungrouped() == 121 - 64


def test_what_the_caller_keeps_comes_back(context):
    data = saved(context, 10, sampler=b"\x00\xff", extra={"messages": ["é\ud800"], "n": 1})
    state = load_state(context, data)
    assert (state.sampler, state.extra) == (b"\x00\xff", {"messages": ["é\ud800"], "n": 1})


def test_an_empty_sequence_is_a_state_too(context):
    context.truncate(0)
    assert load_state(context, save_state(context)) == State()
    assert context.n_past() == 0


def test_the_same_state_is_the_same_bytes(context):
    first = saved(context, 70)
    logits_of(context, TOKENS[100:], 100)
    assert saved(context, 70) == first


# files
def test_a_file_goes_on_too(context, whole, tmp_path):
    logits_of(context, TOKENS[:100], 100)
    save_file(context, tmp_path / "x.state", TOKENS[:100])
    context.truncate(0)
    assert load_file(context, tmp_path / "x.state").n_past == 100
    np.testing.assert_array_equal(context.prefill(TOKENS[100:]), whole[-1])
    assert [p.name for p in tmp_path.iterdir()] == ["x.state"]


def test_memory_is_bounded_by_a_head(path, tmp_path):
    """A state of 20 MB is written and read in 6 MB of address space more than the context needs."""
    big = write_tiny(tmp_path / "big.gguf", replace(TINY, n_head=8, n_head_kv=8, head_dim=64, n_ctx=4096, n_layer=6))
    code = f"""
import resource, sys
from pathlib import Path
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.engine.state import load_file, save_file
with Context(load_model({str(big)!r}), n_ctx=1024, n_threads=1, type_k="f32", type_v="f32") as context:
    context.prefill([1] * 1000)
    for memory in (*context.cache.keys, *context.cache.values):
        memory[:] = 0  # touch all pages
    save_file(context, {str(tmp_path / "warm")!r})
    load_file(context, {str(tmp_path / "warm")!r})
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    used = int(status["VmSize"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + (6 << 20), used + (6 << 20)))
    save_file(context, {str(tmp_path / "x.state")!r})
    load_file(context, {str(tmp_path / "x.state")!r})
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=300)
    assert (tmp_path / "x.state").stat().st_size > 20 << 20


# damage
def test_fault_56_every_cut_is_found_and_changes_nothing(context, whole, tmp_path):
    state = saved(context, 66, extra={"x": 1})
    logits_of(context, TOKENS[:80], 80)
    step = max(1, len(state) // 97)
    for n in (*range(0, 300), *range(300, len(state), step), len(state) - 1):
        with pytest.raises(StateError, match="is empty" if n == 0 else "cut short|damaged"):
            load_state(context, state[:n])
    np.testing.assert_array_equal(context.prefill(TOKENS[80:]), whole[-1])


def test_fault_56_a_flipped_bit_is_found(context):
    state = saved(context, 66)
    rng = np.random.default_rng(56)
    places = [*range(400), *rng.integers(0, len(state), 200).tolist(), len(state) - 1]
    for place in places:
        bad = bytearray(state)
        bad[place] ^= 1 << rng.integers(8)
        with pytest.raises(StateError):
            load_state(context, bytes(bad))


def test_fault_56_more_bytes_are_found(context):
    with pytest.raises(DamagedState, match="checksum"):
        load_state(context, saved(context, 66) + b"\0")


def sealed(state: bytes, header: object = None, version: int = 1, n_text: int | None = None) -> bytes:
    """A state with another header, and a checksum that is right for it."""
    magic, _, old = FIXED.unpack(state[: FIXED.size])
    text = state[FIXED.size : FIXED.size + old] if header is None else json.dumps(header).encode()
    body = FIXED.pack(magic, version, len(text) if n_text is None else n_text) + text
    body += state[FIXED.size + old : -CHECKSUM_BYTES]
    hasher = XXH64()
    hasher.update(body)
    return body + struct.pack("<Q", int(hasher.hexdigest(), 16))


def header_of(state: bytes) -> dict:
    return json.loads(state[FIXED.size :][: FIXED.unpack(state[: FIXED.size])[2]])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"n_past": 10**18}, "do not fit"),
        ({"n_past": 129}, "do not fit"),
        ({"n_past": 2}, "do not fit"),
        ({"n_past": -1}, "n_past is no number"),
        ({"n_past": 1.0}, "n_past is no number"),
        ({"n_past": True}, "n_past is no number"),
        ({"n_tokens": 10**18}, "do not fit"),
        ({"n_cells": 0}, "do not fit"),
        ({"n_grouped": 67}, "do not fit"),
        ({"n_merged": 1}, "do not fit"),
        ({"extra": []}, "makes no sense"),
        ({"identity": None}, "makes no sense"),
    ],
)
def test_fault_56_counts_are_not_believed(context, change, message):
    state = saved(context, 66)
    bad = sealed(state, header_of(state) | change)
    logits_of(context, TOKENS[:5], 5)
    with pytest.raises(DamagedState, match=message):
        load_state(context, bad)
    assert context.n_past() == 5


@pytest.mark.parametrize("header", [[], "x", None, 3, {"identity": {}}])
def test_fault_56_a_header_of_another_shape_is_damage(context, header):
    bad = sealed(saved(context, 5), {"": 0} if header is None else header)
    with pytest.raises(DamagedState, match="makes no sense"):
        load_state(context, bad)


def test_fault_56_a_deep_header_is_damage(context):
    state = saved(context, 5)
    with pytest.raises(DamagedState, match="damaged"):
        load_state(context, sealed(state, n_text=1 << 31))
    old = FIXED.unpack(state[: FIXED.size])[2]
    deep = b"[" * 100_000
    body = FIXED.pack(b"llmkstat", 1, len(deep)) + deep + state[FIXED.size + old : -CHECKSUM_BYTES]
    hasher = XXH64()
    hasher.update(body)
    with pytest.raises(DamagedState, match="makes no sense"):
        load_state(context, body + struct.pack("<Q", int(hasher.hexdigest(), 16)))


def test_fault_56_tokens_outside_the_vocabulary_are_damage(context):
    logits_of(context, TOKENS[:5], 5)
    with pytest.raises(DamagedState, match="tokens that the model does not know"):
        load_state(context, save_state(context, [1, 67]))


# other things
@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is empty"),
        (b"GGUF" + bytes(100), "no saved state"),
        (b"ggsn" + bytes(100), "no saved state"),
        (b"llmk", "cut short"),
    ],
)
def test_what_is_no_state_is_called_so(context, data, message, tmp_path):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(StateError, match=rf"{tmp_path}/x: .*{message}"):
        load_file(context, tmp_path / "x")


def test_a_later_format_is_not_damage(context):
    with pytest.raises(StateError, match=r"has version 2 of the format, this llamakit reads version 1") as error:
        load_state(context, sealed(saved(context, 5), version=2))
    assert not isinstance(error.value, DamagedState)


@pytest.mark.parametrize(
    "tiny, options, message",
    [
        (Tiny(n_layer=3), {}, r"another model"),
        (replace(TINY, seed=1), {}, "other weights"),
        (replace(TINY, metadata={"llama.attention.layer_norm_rms_epsilon": 1e-6}), {}, "other metadata"),
        (replace(TINY, metadata={"llama.rope.freq_base": 20000.0}), {}, "other rotations"),
        (replace(TINY, metadata={"llama.rope.scaling.factor": 2.0}), {}, "other rotations"),
        (TINY, {"type_k": "f16", "type_v": "f16"}, r"other types of cache .* \(f32 and f32; here: f16 and f16\)"),
        (TINY, {"n_ctx": 90}, r"holds 100 positions, and the context 90"),
    ],
)
def test_fault_56_a_state_of_something_else_names_what_differs(context, tmp_path, tiny, options, message):
    state = saved(context, 100)
    with open_context(write_tiny(tmp_path / "other.gguf", tiny), **options) as other:
        other.prefill([1, 2])
        with pytest.raises(StateError, match=message) as error:
            load_state(other, state)
        assert not isinstance(error.value, DamagedState)
        assert other.n_past() == 2


def test_no_room_beside_other_sequences_is_an_error(context):
    state = saved(context, 150)
    context.truncate(0)
    context.prefill(TOKENS[:150], 1)
    with pytest.raises(ModelError, match="KV cache is full"):
        load_state(context, state)
    context.truncate(0, 1)


@pytest.mark.parametrize("kind", ["absent", "folder", "fifo"])
def test_fault_40_what_is_no_file_is_an_error_at_once(context, tmp_path, kind):
    path = tmp_path / "x"
    {"absent": lambda: None, "folder": path.mkdir, "fifo": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(StateError, match=r"No such file|not a regular file"):
        load_file(context, path)


# crashes
WORK = """
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.engine.state import load_file, save_file
context = Context(load_model("tiny.gguf"), n_ctx=64, n_threads=1)
context.prefill([1, 2, 3])
def work(step):
    save_file(context, "x.state", [1, 2, 3])
"""


CHECKED = WORK.replace(
    "def work(step):",
    """def work(step):
    found = load_file(context, "x.state")  # what the kill before has left
    assert found.tokens in ([4, 5], [1, 2, 3]), found
    context.truncate(0)
    context.prefill([1, 2, 3])""",
)


def test_fault_51_a_kill_at_any_step_leaves_the_old_state_or_the_new(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", TINY)
    with open_context(path, n_ctx=64, type_k="f16", type_v="f16") as context:
        context.prefill([4, 5])
        save_file(context, tmp_path / "x.state", [4, 5])
        n_steps = kill_at_each_step(CHECKED, tmp_path)
        assert n_steps > 10
        assert load_file(context, tmp_path / "x.state").tokens == [1, 2, 3]
    assert {p.name for p in tmp_path.iterdir()} == {"tiny.gguf", "x.state"}


def test_fault_52_a_limit_on_the_files_size_is_an_error_and_the_old_state_stays(context, tmp_path):
    old = saved(context, 5)
    (tmp_path / "x.state").write_bytes(old)
    code = WORK + "\nimport resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\nwork(0)"
    write_tiny(tmp_path / "tiny.gguf", TINY)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert "x.state: cannot write: File too large" in done.stderr
    assert (tmp_path / "x.state").read_bytes() == old
    assert {p.name for p in tmp_path.iterdir()} == {"tiny.gguf", "x.state"}


def test_fault_55_of_two_writers_the_second_gives_up(context, tmp_path):
    from llamakit.core.gguf.output import OutputFile

    first = OutputFile(tmp_path / "x.state")
    with pytest.raises(GGUFError, match="another process is writing it"):
        save_file(context, tmp_path / "x.state")
    first.discard()
    save_file(context, tmp_path / "x.state")


def test_a_model_read_without_mapping_has_the_same_identity(path):
    with load_model(path) as mapped, load_model(path, use_mmap=False) as read:
        assert mapped.identity == read.identity
