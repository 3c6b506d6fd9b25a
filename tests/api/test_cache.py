"""Texts kept beyond a `Llama`'s own memory, and guesses that change nothing."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from llamakit.api.cache import BaseLlamaCache, LlamaDiskCache, LlamaRAMCache, kept_state
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


class OwnCache(BaseLlamaCache):
    """As programs write them for llama-cpp-python."""

    def __init__(self):
        super().__init__()
        self.states = []

    @property
    def cache_size(self):
        return len(self.states)

    def __getitem__(self, key):
        if key not in self:
            raise KeyError
        return self.states[-1][1]

    def __contains__(self, key):
        return bool(self.states) and self.states[-1][0][:50] == [*key][:50]

    def __setitem__(self, key, value):
        self.states.append(([*key], value))


def test_a_cache_of_ones_own_serves_and_its_state_is_loaded(path):
    cache, loaded = OwnCache(), []
    with Llama(path, n_ctx=256, verbose=False) as llm:
        llm.set_cache(cache)
        text, _ = cached(llm)
    with Llama(path, n_ctx=256, seed=3, verbose=False) as llm:
        load = llm.load_state
        llm.load_state = lambda state: (loaded.append(state.n_tokens), load(state))
        llm.set_cache(cache)
        assert cached(llm) == (text, len(PROMPT) - 1) and loaded == [len(PROMPT) + 7]
        assert llm.seed == 3
        assert cached(llm) == (text, len(PROMPT) - 1) and len(loaded) == 1  # the engine has it itself


def test_a_cache_leaves_other_threads_sequences_alone(path):
    cache = LlamaRAMCache()
    for _ in range(2):
        with Llama(path, n_ctx=256, verbose=False) as llm, ThreadPoolExecutor(1) as pool:
            llm.eval([7, 8, 9])
            llm.set_cache(cache)
            n_cached = pool.submit(cached, llm).result()[1]
            assert llm.input_ids[: llm.n_tokens].tolist() == [7, 8, 9]
    assert n_cached == len(PROMPT) - 1


def test_completions_go_on_from_a_saved_state(path):
    with Llama(path, n_ctx=256, verbose=False) as llm:
        text, _ = cached(llm)
        state = pickle.loads(pickle.dumps(llm.save_state()))
    with Llama(path, n_ctx=256, verbose=False) as llm:
        llm.load_state(state)
        assert llm.n_tokens == len(PROMPT) + 7
        assert cached(llm) == (text, len(PROMPT) - 1)


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
            cache[[1, 2, 3, i]] = kept_state([1, 2, 3, i], b"x" * 100)
        assert 100 <= cache.cache_size <= 350
        assert cache[[1, 2, 3, 3, 4]].input_ids.tolist() == [1, 2, 3, 3] and [1, 7] in cache
        assert [9] not in cache
        with pytest.raises(KeyError):
            cache[[9]]
    with pytest.raises(UsageError, match="capacity_bytes"):
        LlamaRAMCache(-1)


def write_many(folder, start):
    cache = LlamaDiskCache(folder, capacity_bytes=3000)
    for i in range(30):
        cache[[start, i]] = kept_state([start, i], bytes([start]) * 100)
        with contextlib.suppress(KeyError):
            cache[[1 - start, i]]


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
        assert [start, 29] not in cache or cache[[start, 29]].llama_state == bytes([start]) * 100
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
