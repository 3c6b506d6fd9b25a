"""Texts kept beyond a `Llama`'s own memory, and guesses that change nothing."""

from __future__ import annotations

import multiprocessing

import pytest

from llamakit.api.cache import LlamaDiskCache, LlamaRAMCache
from llamakit.api.drafts import LlamaDraftModel, LlamaPromptLookupDecoding
from llamakit.api.llama import Llama
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError

PROMPT = [1, *range(5, 105)]


def cached(llm, prompt=PROMPT):
    """The text of a completion, and how much of its prompt was in the cache."""
    from llamakit.api.completion import Wanted

    sayer = llm.say(Wanted(tuple(prompt), llm.sampling_params(SamplingParams(temperature=0, seed=1)), n_predict=8))
    text = "".join(part.text for part in sayer.parts())
    return text, sayer.job.usage.n_cached


@pytest.fixture(params=["ram", "disk"])
def cache(request, tmp_path):
    return LlamaRAMCache() if request.param == "ram" else LlamaDiskCache(tmp_path / "cache")


def test_another_llama_begins_with_what_one_has_computed(path, cache):
    with Llama(path, n_ctx=256, verbose=False) as llm:
        llm.set_cache(cache)
        text, n = cached(llm)
        assert n == 0 and cache.cache_size > 0
    with Llama(path, n_ctx=256, verbose=False) as llm:
        llm.set_cache(cache)
        assert cached(llm) == (text, len(PROMPT) - 1)
        longer = [*PROMPT, 40, 41]
        with Llama(path, n_ctx=256, verbose=False) as plain:
            assert cached(llm, longer)[0] == cached(plain, longer)[0]


def test_a_cache_of_other_settings_is_of_no_use_and_harms_nothing(path, cache):
    with Llama(path, n_ctx=256, verbose=False) as llm:
        llm.set_cache(cache)
        text = cached(llm)[0]
    with Llama(path, n_ctx=256, type_k="q8_0", verbose=False) as llm:
        llm.set_cache(cache)
        with pytest.warns(UserWarning, match="of no use here"):
            assert cached(llm)[1] == 0
    assert text


def test_room_is_made_for_what_is_new(tmp_path):
    for cache in (LlamaRAMCache(capacity_bytes=250), LlamaDiskCache(tmp_path, capacity_bytes=350)):
        for i in range(4):
            cache.add([1, 2, 3, i], b"x" * 100)
        assert 100 <= cache.cache_size <= 350
        assert cache.find([1, 2, 3, 3])[0] == 4
        assert cache.find([9]) is None
    with pytest.raises(UsageError, match="capacity_bytes"):
        LlamaRAMCache(-1)


def write_many(folder, start):
    cache = LlamaDiskCache(folder, capacity_bytes=3000)
    for i in range(30):
        cache.add([start, i], bytes([start]) * 100)
        cache.find([1 - start, i])


def test_two_programs_use_one_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(tmp_path, start)) for start in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    cache = LlamaDiskCache(tmp_path)
    for start in (0, 1):
        found = cache.find([start, 29])
        assert found is None or found[1] == bytes([start]) * 100
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith((".state", ".partial"))]


def test_a_damaged_file_is_not_there(path, tmp_path):
    cache = LlamaDiskCache(tmp_path)
    with Llama(path, n_ctx=256, verbose=False) as llm:
        llm.set_cache(cache)
        text = cached(llm)[0]
    for file in tmp_path.glob("*.state"):
        data = bytearray(file.read_bytes())
        data[-100] ^= 1
        file.write_bytes(data)
    (tmp_path / "broken.state").write_bytes(b"\xff\xff")
    with Llama(path, n_ctx=256, verbose=False) as llm:
        llm.set_cache(cache)
        with pytest.warns(UserWarning, match="of no use here"):
            assert cached(llm) == (text, 0)


class Wild(LlamaDraftModel):
    def __call__(self, input_ids, /, **options):
        return (input_ids[-4:] + 1) % 200


@pytest.mark.parametrize("draft", [LlamaPromptLookupDecoding(num_pred_tokens=5), Wild()])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_guesses_change_no_answer(path, draft, temperature):
    with (
        Llama(path, n_ctx=256, verbose=False) as plain,
        Llama(path, n_ctx=256, draft_model=draft, verbose=False) as guessing,
    ):
        for prompt in ("the cat the cat the cat", "a"):
            options = {"max_tokens": 40, "temperature": temperature, "seed": 5}
            assert plain(prompt, **options)["choices"] == guessing(prompt, **options)["choices"]
