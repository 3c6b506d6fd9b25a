"""`run` and `chat` with adapters, in llama.cpp's spellings of this year and of 2024."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run as run_llamakit
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import InvalidArgument, read
from llamakit.cli.parsing.typer_command import typer_command
from llamakit.cli.run import run
from llamakit.core.gguf.writer import GGUFWriter
from tests.adapters import write_adapter
from tests.core.vocab.vocabs import bpe_metadata
from tests.tiny import Tiny, write_tiny

Capture = pytest.CaptureFixture[str]
SPELLINGS = {
    "--lora a.gguf": [("a.gguf", 1.0)],
    "--lora a.gguf,b.gguf --lora c.gguf": [("a.gguf", 1.0), ("b.gguf", 1.0), ("c.gguf", 1.0)],
    "--lora-scaled a.gguf:0.5,b.gguf:-2": [("a.gguf", 0.5), ("b.gguf", -2.0)],
    "--lora-scaled a.gguf 0.5 --lora b.gguf": [("b.gguf", 1.0), ("a.gguf", 0.5)],
    r"--lora-scaled C:\x.gguf:1e-1": [(r"C:\x.gguf", 0.1)],
    "--lora a.gguf --lora-init-without-apply": [("a.gguf", 0.0)],
}


def options_of(line: str) -> AdapterOptions:
    values = read(typer_command("run", flatten(run)), line.split())
    return AdapterOptions(**{field.name: values[field.name] for field in fields(AdapterOptions)})


@pytest.mark.parametrize(("line", "adapters"), SPELLINGS.items())
def test_adapters_are_read_with_their_scales(line: str, adapters: list[tuple[str, float]]) -> None:
    assert list(options_of(line).adapters) == adapters


@pytest.mark.parametrize("line", ["--lora-scaled a.gguf", "--lora-scaled :1", "--lora-scaled a.gguf:much"])
def test_a_scale_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(InvalidArgument, match="is not FILE:SCALE"):
        _ = options_of(line).adapters


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A model whose texts are gibberish, and an adapter for it."""
    folder = tmp_path_factory.mktemp("models")
    keys = bpe_metadata(["a b", "b a"], specials=())
    keys = {key: value for key, value in keys.items() if not key.endswith(("bos_token_id", "eos_token_id"))}
    n_vocab = len(keys["tokenizer.ggml.tokens"])
    model = write_tiny(folder / "tiny.gguf", Tiny(n_vocab=n_vocab, n_ctx=256, metadata=keys))
    adapter = write_adapter(folder / "a.gguf", model, ("blk.0.ffn_down.weight", "output.weight"), rank=8, alpha=64.0)
    return str(model), str(adapter)


VECTORS = {
    "--control-vector v.gguf": ([("v.gguf", 1.0)], (1, None)),
    "--control-vector-scaled v.gguf:-1.5": ([("v.gguf", -1.5)], (1, None)),
    "--control-vector-scaled v.gguf -1.5 --control-vector-layer-range 10 20": ([("v.gguf", -1.5)], (10, 20)),
    "--control-vector-layer-range 0 -1": ([], (1, None)),
}


@pytest.mark.parametrize(("line", "read"), VECTORS.items())
def test_control_vectors_are_read_with_scales_and_layers(line: str, read: tuple[list[object], tuple[int, int]]) -> None:
    options = options_of(line)
    assert (list(options.control_vectors), options.control_layers) == read


def test_a_range_of_one_layer_only_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="takes two layers: START END"):
        _ = options_of("--control-vector-layer-range 3 --lora a").control_layers


def test_layers_that_end_before_they_begin_are_told() -> None:
    with pytest.raises(InvalidArgument, match="the last layer, 2, is before the first, 5"):
        _ = options_of("--control-vector-layer-range 5 2").control_layers
    assert options_of("--control-vector-layer-range 5 0").control_layers == (5, None)


def test_a_control_vector_changes_the_text_within_its_layers(
    files: tuple[str, str], tmp_path: Path, capfd: Capture
) -> None:
    model, vector = files[0], str(tmp_path / "vector.gguf")
    with GGUFWriter(vector) as writer:
        writer.add("general.architecture", "controlvector")
        writer.add_tensor("direction.1", np.random.default_rng(4).normal(size=64).astype(np.float32))
    plain = text_of(capfd, model)
    assert text_of(capfd, model, "--control-vector-scaled", vector, "9") != plain
    assert text_of(capfd, model, "--control-vector", vector, "--control-vector-layer-range", "2", "9") == plain


def text_of(capfd: pytest.CaptureFixture[str], model: str, *args: str) -> str:
    line = ["run", "-m", model, "-p", "ab ba", "-n", "12", "--temp", "0", "-c", "64", *args]
    assert run_llamakit(line) == 0
    return capfd.readouterr().out


def test_an_adapter_changes_the_text_and_scale_0_does_not(files: tuple[str, str], capfd: Capture) -> None:
    model, adapter = files
    plain = text_of(capfd, model)
    assert text_of(capfd, model, "--lora", adapter) != plain
    assert text_of(capfd, model, "--lora-scaled", adapter, "0") == plain
    assert text_of(capfd, model, "--lora", adapter, "--lora-init-without-apply") == plain


def test_a_prompt_cache_of_other_adapters_is_refused(files: tuple[str, str], tmp_path: Path, capfd: Capture) -> None:
    model, adapter = files
    cache = ["--prompt-cache", str(tmp_path / "cache.bin")]
    line = ["run", "-m", model, "-p", "ab ba", "-n", "2", "--temp", "0", "-c", "64", *cache]
    assert run_llamakit([*line, "--lora", adapter]) == 0
    assert run_llamakit([*line, "--lora", adapter]) == 0
    assert run_llamakit(line) == 1
    assert "other adapters (see --lora" in capfd.readouterr().err


def test_a_file_that_is_no_adapter_is_an_error(files: tuple[str, str], capfd: Capture) -> None:
    model, _ = files
    assert run_llamakit(["run", "-m", model, "-p", "a", "-n", "1", "-c", "64", "--lora", model]) == 2
    assert "no LoRA adapter: general.type is missing" in capfd.readouterr().err
