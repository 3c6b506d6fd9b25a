from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from llamakit.core.engine.profile import Profile
from llamakit.errors import UsageError

from ...running import open_context
from ...tiny import Tiny, write_tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("m") / "tiny.gguf", Tiny(n_expert=4, n_expert_used=2, n_ff=64))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_every_op_is_timed_and_all_together_take_no_longer_than_the_run(path, n_threads):
    with open_context(path, n_threads=n_threads) as context:
        plain = context.prefill([3, 4, 5]).copy()
        context.truncate(0)
        with Profile(context) as profile:
            begin = time.perf_counter()
            logits = context.prefill([3, 4, 5]).copy()
            for _ in range(4):
                context.step(7)
            seconds = time.perf_counter() - begin
        np.testing.assert_array_equal(logits, plain)
        assert 0 < profile.seconds < seconds
        assert all(op.seconds >= 0 and op.n_runs in (1, 4) and op.n_threads == n_threads for op in profile.ops)
        steps = len(context._programs.find(1, 1).whole.steps)
        assert sum(op.n_runs == 4 for op in profile.ops) == steps
        n_runs = sum(op.n_runs for op in profile.ops)
        context.step(8)
        assert sum(op.n_runs for op in profile.ops) == n_runs  # nothing is left of it


def test_products_tell_their_weights_and_what_they_read(path):
    with open_context(path, n_threads=1) as context:
        context.prefill([3])
        with Profile(context) as profile:
            context.step(7)
        by_weights = {op.weights: op for op in profile.ops}
        qkv = by_weights["blk.1.attn_q.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight"]
        assert qkv.layer == 1 and qkv.n_flops == 2 * 64 * (64 + 32 + 32) and qkv.n_bytes == 4 * 64 * 128
        down = by_weights[("blk.0.ffn_down_exps.weight",)]
        assert down.n_flops == 2 * 2 * 64 * 64 and down.n_bytes == 2 * 4 * 64 * 64  # of two experts of four
        assert by_weights[("output.weight",)].layer is None


def test_experts_of_many_tokens_are_counted_once_for_all_their_rows(path):
    n = 40
    with open_context(path, n_threads=1) as context, Profile(context) as profile:
        context.prefill(list(range(3, 3 + n)))
    downs = [op for op in profile.ops if op.weights == ("blk.0.ffn_down_exps.weight",)]
    matrix = 64 * 64
    assert sum(op.n_flops for op in downs) == 2 * n * 2 * matrix  # two experts a token
    assert sum(op.n_bytes for op in downs) <= (4 + 3 * 4) * 4 * matrix  # some of the four may have lone rows


def test_one_profile_at_a_time(path):
    with open_context(path, n_threads=1) as context, Profile(context):
        with pytest.raises(UsageError, match="profiled already"):
            Profile(context).__enter__()


def test_programs_that_are_made_for_one_run_are_one_entry():
    profile = Profile(SimpleNamespace(weights=SimpleNamespace(matrices=dict)))
    for _ in range(3):
        step = SimpleNamespace(kernel="logprob.rows[f32]", record=SimpleNamespace(values={}))
        profile.note(SimpleNamespace(steps=[step]), np.ones(1), 1)
    (op,) = profile.ops
    assert (op.kernel, op.variant, op.n_runs, op.seconds) == ("logprob.rows", "f32", 3, 3.0)
