"""Adapters, chats, timings, threads and moves of the cache by llama.cpp's functions."""

from __future__ import annotations

import ctypes

import pytest

from llamakit.core.chat.named import named
from llamakit.core.engine.adapters import load_adapter
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.errors import UsageError
from tests.adapters import write_adapter

from .low import batch_of, context_of, last_logits

import llama_cpp  # isort: skip

TOKENS = [1, 70, 71, 72, 73]


def test_adapters_are_used_at_their_scales(model, path, tmp_path):
    file = write_adapter(
        tmp_path / "lora.gguf", path, ["blk.0.attn_q.weight", "blk.1.ffn_up.weight"], rank=2, alpha=4.0
    )
    with load_model(path) as loaded, Context(loaded, n_ctx=64, n_threads=1) as context:
        alone = context.prefill(TOKENS)
        context.truncate(0)
        context.set_adapters([(load_adapter(file), 0.5)])
        adapted = context.prefill(TOKENS)
    assert list(alone) != list(adapted)
    adapter = llama_cpp.llama_adapter_lora_init(model, str(file).encode())
    ctx = context_of(model)

    def computed():
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(ctx), True)
        return pytest.approx(last_logits(ctx, TOKENS), abs=1e-4)

    assert llama_cpp.llama_set_adapter_lora(ctx, adapter, 0.5) == 0
    assert list(adapted) == computed()
    assert llama_cpp.llama_rm_adapter_lora(ctx, adapter) == 0
    assert list(alone) == computed()
    assert llama_cpp.llama_rm_adapter_lora(ctx, adapter) == -1
    adapters, scales = (ctypes.c_void_p * 1)(adapter), (ctypes.c_float * 1)(0.5)
    assert llama_cpp.llama_set_adapters_lora(ctx, adapters, 1, scales) == 0
    assert list(adapted) == computed()
    llama_cpp.llama_clear_adapter_lora(ctx)
    assert list(alone) == computed()
    llama_cpp.llama_adapter_lora_free(adapter)
    with pytest.warns(UserWarning, match=r"none\.gguf"):
        assert llama_cpp.llama_adapter_lora_init(model, str(tmp_path / "none.gguf").encode()) is None


MESSAGES = [(b"system", b"Be brief."), (b"user", b"Hello")]
PROMPT = b"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "template, prompt",
    [
        (None, PROMPT),
        (b"chatml", PROMPT),
        (b"{{ '<|im_start|>' }} llama.cpp tells it by that", PROMPT),
        (b"{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}", b"system=Be brief.;user=Hello;"),
    ],
)
def test_a_template_writes_the_prompt(template, prompt):
    chat = (llama_cpp.llama_chat_message * 2)(*[llama_cpp.llama_chat_message(*each) for each in MESSAGES])
    buffer = ctypes.create_string_buffer(b"x" * 200)
    assert llama_cpp.llama_chat_apply_template(template, chat, 2, True, None, 0) == len(prompt)
    assert llama_cpp.llama_chat_apply_template(template, chat, 2, True, buffer, 200) == len(prompt)
    assert buffer.value == prompt
    short = ctypes.create_string_buffer(b"x" * 9)
    assert llama_cpp.llama_chat_apply_template(template, chat, 2, True, short, 4) == len(prompt)
    assert short.value == prompt[:4] + b"x" * 5


def test_templates_that_have_names_are_listed():
    n = llama_cpp.llama_chat_builtin_templates(None, 0)
    names = (ctypes.c_char_p * n)()
    assert llama_cpp.llama_chat_builtin_templates(names, n) == n
    assert b"chatml" in list(names) and all(named(name.decode()) for name in names)


def test_time_is_told_of_prompts_and_of_tokens(model, capsys):
    ctx = context_of(model)
    last_logits(ctx, TOKENS[:-1])
    last_logits(ctx, TOKENS, len(TOKENS) - 1)
    told = llama_cpp.llama_perf_context(ctx)
    assert (told.n_p_eval, told.n_eval) == (len(TOKENS) - 1, 1) and told.t_p_eval_ms > 0 < told.t_eval_ms
    llama_cpp.llama_perf_context_print(ctx)
    assert "tokens per second" in capsys.readouterr().err
    llama_cpp.llama_perf_context_reset(ctx)
    assert llama_cpp.llama_perf_context(ctx).n_eval == 0


def test_threads_can_be_asked_for_and_told(model):
    ctx = context_of(model, n_threads=2, n_threads_batch=2)
    llama_cpp.llama_set_n_threads(ctx, 1, 2)
    assert (llama_cpp.llama_n_threads(ctx), llama_cpp.llama_n_threads_batch(ctx)) == (1, 2)


def test_a_full_context_goes_on_without_its_oldest_tokens(model, path):
    ctx = context_of(model)
    memory = llama_cpp.llama_get_memory(ctx)
    assert llama_cpp.llama_memory_can_shift(memory)
    assert llama_cpp.llama_decode(ctx, batch_of(TOKENS)) == 0
    assert llama_cpp.llama_memory_seq_rm(memory, 0, 1, 3)
    llama_cpp.llama_memory_seq_add(memory, 0, 3, len(TOKENS), -2)
    assert llama_cpp.llama_memory_seq_pos_max(memory, 0) == len(TOKENS) - 3
    with load_model(path) as loaded, Context(loaded, n_ctx=64, n_threads=1) as context:
        context.prefill(TOKENS)
        context.shift(1, 2)
        wanted = context.step(74)
    assert last_logits(ctx, [0, 0, 0, 74], len(TOKENS) - 2) == pytest.approx(list(wanted), abs=1e-4)
    with pytest.raises(UsageError, match="llama_memory_seq_div"):
        llama_cpp.llama_memory_seq_div(memory, 0, 0, 4, 2)


def test_a_chains_stages_can_be_looked_at_and_taken_out(model):
    ctx = context_of(model)
    last_logits(ctx, TOKENS)
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    breakers = (ctypes.c_char_p * 1)(b"\n")
    for stage in (
        llama_cpp.llama_sampler_init_dry(None, 0.8, 1.75, 2, -1, breakers, 1),
        llama_cpp.llama_sampler_init_top_k(1),
        llama_cpp.llama_sampler_init_infill(None),
        llama_cpp.llama_sampler_init_dist(3),
    ):
        llama_cpp.llama_sampler_chain_add(chain, stage)
    assert llama_cpp.llama_sampler_chain_n(chain) == 4
    assert llama_cpp.llama_sampler_chain_get(chain, -1) == chain
    assert llama_cpp.llama_sampler_chain_get(chain, 4) is None
    likeliest = llama_cpp.llama_sampler_sample(llama_cpp.llama_sampler_init_greedy(), ctx, -1)
    assert llama_cpp.llama_sampler_sample(llama_cpp.llama_sampler_chain_get(chain, 1), ctx, -1) == likeliest
    taken = llama_cpp.llama_sampler_chain_remove(chain, 1)
    assert llama_cpp.llama_sampler_chain_n(chain) == 3
    assert llama_cpp.llama_sampler_sample(taken, ctx, -1) == likeliest
    llama_cpp.llama_sampler_chain_add(chain, taken)  # which the chain would refuse if it still had one


def test_the_model_and_the_machine_are_described(model):
    vocab = llama_cpp.llama_model_get_vocab(model)
    assert llama_cpp.llama_n_vocab(vocab) == llama_cpp.llama_vocab_n_tokens(vocab)
    assert llama_cpp.llama_token_fim_pre(vocab) == llama_cpp.llama_vocab_fim_sep(vocab) == -1
    assert not llama_cpp.llama_model_has_encoder(model) and llama_cpp.llama_model_has_decoder(model)
    assert llama_cpp.llama_model_decoder_start_token(model) == -1 and llama_cpp.llama_model_n_swa(model) == 0
    assert b"cores" in llama_cpp.llama_print_system_info()
    assert llama_cpp.GGML_NUMA_STRATEGY_MIRROR == 4 and llama_cpp.LLAMA_ROPE_TYPE_VISION == 24
    assert llama_cpp.LLAMA_VOCAB_PRE_TYPE_SEED_CODER == 35 and llama_cpp.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY == 1
