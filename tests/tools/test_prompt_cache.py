"""A prompt's state in a file: what is known is not computed again, and the text is that of one unbroken run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from llamakit.core.engine.context import Floats
from llamakit.core.engine.load import Model, load_model
from llamakit.core.engine.programs import Programs
from llamakit.core.engine.state import StateError, load_file
from llamakit.core.engine.ubatches import Part
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import GGUFError
from llamakit.tools.completion import Completion, CompletionParams
from llamakit.tools.prompt_cache import PromptCache
from tests.core.vocab.vocabs import bpe_metadata
from tests.running import open_context
from tests.tiny import Tiny, write_tiny

PROMPT = "ab ab ba"
SAMPLING = SamplingParams(seed=5, repeat_penalty=1.2, ignore_eos=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keys = bpe_metadata(["a b", "b a"])
    tiny = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys)
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", tiny)


@pytest.fixture(scope="module")
def model(path: Path) -> Iterator[Model]:
    with load_model(path) as model:
        yield model


def complete(
    path: Path,
    cache: PromptCache | None,
    prompt: str | bytes = PROMPT,
    n: int = 10,
    sampling: SamplingParams = SAMPLING,
    n_ctx: int = 256,
    **params: bool,
) -> tuple[bytes, int, list[int]]:
    """The text that follows, how many prompt tokens were computed, and the tokens in the end."""
    with open_context(path, n_ctx=n_ctx) as context:
        vocab = context.model.vocab
        sampler = Sampler(sampling, vocab.n_tokens, vocab.eog_ids, vocab=vocab)
        completion = Completion(context, vocab, sampler, CompletionParams(n, **params), cache)
        tokens = completion.encode(prompt)
        for _ in completion.run(tokens):
            pass
        completion.save()
        session = completion.session
        made = (session.tokens + session.pending)[-n:] if n else []
        return vocab.detokenize(made), completion.timings.prefill.n_tokens, session.tokens + session.pending


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.cache"


def test_the_same_prompt_again_computes_one_token(path: Path, file: Path) -> None:
    first = complete(path, PromptCache(file))
    again = complete(path, cache := PromptCache(file))
    assert again[0] == first[0] == complete(path, None)[0]
    assert (first[1] > 4, again[1]) == (True, 1)
    assert cache.note == f"prompt cache: {first[1]} / {first[1]} tokens of the prompt are known"


def test_a_longer_prompt_computes_what_is_new(path: Path, file: Path) -> None:
    n_first = complete(path, PromptCache(file))[1]
    text, n_computed, tokens = complete(path, PromptCache(file), PROMPT + " ba ba")
    assert text == complete(path, None, PROMPT + " ba ba")[0]
    assert n_computed == len(tokens) - 10 - n_first
    assert complete(path, PromptCache(file), PROMPT + " ba ba")[1] == 1  # it was saved


def test_another_prompt_begins_anew(path: Path, file: Path) -> None:
    complete(path, PromptCache(file))
    assert complete(path, PromptCache(file), "ba")[0] == complete(path, None, "ba")[0]


@pytest.mark.parametrize("n", [1, 9, 25])
def test_a_text_in_parts_is_the_text_at_once(path: Path, file: Path, n: int) -> None:
    """Random numbers and penalties go on too; the prompt of a later part is empty, or the text so far."""
    whole = complete(path, None, n=n + 20)
    first = complete(path, PromptCache(file, saves_all=True), n=n)
    saved = file.read_bytes()
    for prompt in ("", PROMPT.encode() + first[0]):
        file.write_bytes(saved)
        rest = complete(path, PromptCache(file, saves_all=True), prompt, n=20)
        assert (first[0] + rest[0], rest[1], rest[2]) == (whole[0], 1, whole[2])


def test_a_text_in_parts_is_the_text_at_once_over_a_context_shift(path: Path, file: Path) -> None:
    options = {"n_ctx": 40, "context_shift": True}
    whole = complete(path, None, n=70, **options)
    complete(path, PromptCache(file, saves_all=True), n=50, **options)
    rest = complete(path, PromptCache(file, saves_all=True), "", n=20, **options)
    assert rest[2] == whole[2]


def test_another_seed_draws_anew(path: Path, file: Path) -> None:
    other = SamplingParams(seed=6, repeat_penalty=1.2, ignore_eos=True)
    complete(path, PromptCache(file), n=0)
    assert complete(path, PromptCache(file), sampling=other)[0] == complete(path, None, sampling=other)[0]


def test_other_sampling_may_follow(path: Path, file: Path) -> None:
    other = SamplingParams(seed=5, temperature=0, repeat_last_n=3, repeat_penalty=1.1, ignore_eos=True)
    complete(path, PromptCache(file, saves_all=True))
    whole = complete(path, None, sampling=other)
    assert complete(path, PromptCache(file), sampling=other)[0] == whole[0]


def test_without_all_only_the_prompt_is_kept(path: Path, file: Path) -> None:
    n = complete(path, PromptCache(file))[1]
    with open_context(path) as context:
        assert len(load_file(context, file).tokens) == n


def test_read_only_leaves_the_file_as_it_is(path: Path, file: Path) -> None:
    complete(path, PromptCache(file))
    before = file.read_bytes()
    assert complete(path, PromptCache(file, saves_all=True, is_read_only=True), PROMPT + " ba")[1] < 5
    assert file.read_bytes() == before


def test_an_empty_file_is_filled(path: Path, file: Path) -> None:
    file.touch()
    complete(path, PromptCache(file))
    assert complete(path, PromptCache(file))[1] == 1


def test_fault_56_a_damaged_file_is_told_of_and_written_anew(path: Path, file: Path) -> None:
    wanted = complete(path, PromptCache(file))[0]
    file.write_bytes(file.read_bytes()[:-100])
    assert complete(path, cache := PromptCache(file))[0] == wanted
    assert "checksum" in cache.warning and "it is not used" in cache.warning
    assert complete(path, cache := PromptCache(file))[1] == 1
    assert cache.warning == ""


@pytest.mark.parametrize("content", [b"GGUF" + bytes(50), b"my diary"])
def test_fault_56_a_file_of_something_else_stays_as_it_is(path: Path, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(StateError, match="no saved state"):
        complete(path, PromptCache(file))
    assert file.read_bytes() == content


def test_fault_52_an_error_of_saving_comes_behind_the_text(path: Path, tmp_path: Path) -> None:
    with open_context(path) as context:
        vocab = context.model.vocab
        sampler = Sampler(SAMPLING, vocab.n_tokens, vocab.eog_ids, vocab=vocab)
        cache = PromptCache(tmp_path / "absent" / "x")
        completion = Completion(context, vocab, sampler, CompletionParams(5), cache)
        assert len("".join(completion.run(completion.encode(PROMPT)))) > 0
        with pytest.raises(GGUFError, match="cannot write: No such file or directory"):
            completion.save()


def test_a_prompt_that_was_interrupted_is_kept_as_far_as_it_was_computed(
    path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = PROMPT + " ba" * 60
    with open_context(path, n_ubatch=32) as context:
        vocab, run, n_runs = context.model.vocab, context._run, 0

        def interrupted(batch: list[Part], programs: Programs) -> Iterator[Floats]:
            nonlocal n_runs
            n_runs += 1
            if n_runs == 3:
                context.cache.place([(0, 32)])  # the cells are taken, and nothing is in them
                raise KeyboardInterrupt
            yield from run(batch, programs)

        monkeypatch.setattr(context, "_run", interrupted)
        sampler = Sampler(SAMPLING, vocab.n_tokens, vocab.eog_ids, vocab=vocab)
        params = CompletionParams(5, context_shift=True)  # in pieces of half a context
        monkeypatch.setattr(context, "n_batch", 32)
        completion = Completion(context, vocab, sampler, params, PromptCache(file, saves_all=True))
        with pytest.raises(KeyboardInterrupt):
            list(completion.run(completion.encode(prompt)))
        completion.save()
    text, n_computed, tokens = complete(path, PromptCache(file), prompt)
    assert text == complete(path, None, prompt)[0]
    assert n_computed == len(tokens) - 10 - 64


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_fault_52_a_disk_that_fills_up_keeps_the_old_cache(path: Path, small_disk: Path) -> None:
    file = small_disk / "x.cache"
    complete(path, PromptCache(file))
    before = file.read_bytes()
    with pytest.raises(GGUFError, match=r"x.cache: cannot write: No space left on device"):
        complete(path, PromptCache(file), PROMPT + " ba" * 70)
    assert [p.name for p in small_disk.iterdir()] == ["x.cache"]
    assert file.read_bytes() == before
    assert complete(path, PromptCache(file))[1] == 1
