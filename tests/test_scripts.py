"""The scripts do what their help says, on models and matrices small enough for a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llamakit.convert.plan import Source
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.quants import dequantize, quantize
from tests.core.vocab.vocabs import bpe_metadata
from tests.tiny import Tiny, write_tiny

REPO = Path(__file__).parents[1]
SHAPE = "--n-embd 256 --n-layer 2 --n-head 4 --n-head-kv 2 --n-ff 512 --n-vocab 64".split()
FAKE_PEER = f"""#!{sys.executable}
import json, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert flags["-r"] == "1" and flags["-o"] == "json", flags
p, n, d = (int(flags[name]) for name in ("-p", "-n", "-d"))
tests = [(p, 0)] * bool(p) + [(0, n)] * bool(n)
print(json.dumps([dict(n_prompt=p, n_gen=n, n_depth=d, avg_ts=2.0) for p, n in tests]))
"""


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(REPO), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, str(REPO / "scripts" / f"{script}.py"), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    done = run("make_synthetic_model", "Q4_K_M", path, *SHAPE)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """A bench binary that always finds two tokens a second."""
    path = tmp_path / "llama-bench"
    path.write_text(FAKE_PEER)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "script",
    ["bench_attention", "bench_convert", "bench_kernels", "bench_peers", "compare_converted", "make_synthetic_model"],
)
def test_help_says_what_a_script_is_for(script):
    done = run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert f"python scripts/{script}.py" in done.stdout


def test_a_synthetic_model_loads_and_runs(model):
    with load_model(model) as opened, Context(opened, n_ctx=64, n_threads=1) as context:
        assert (opened.hparams.n_layer, opened.n_vocab) == (2, 64)
        assert {t.type.name for t in opened.reader.tensors} == {"F32", "Q4_K", "Q6_K"}
        logits = context.step(5)
        assert logits.shape == (64,)
        assert np.isfinite(logits).all() and logits.std() > 0.01


def test_kernels_are_measured_against_limits_of_the_same_run():
    tiny = "--types q8_0 --cells f16 --megabytes 1 --tokens 8 --depth 64 --rounds 1 --threads 1 --limit-rounds 1000"
    done = run("bench_kernels", *tiny.split(), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [line["kernel"] for line in found["limits"]] == ["read", "int8", "bf16", "f32"]
    limits = {line["kernel"]: line["rates"]["1"] for line in found["limits"]}
    assert min(limits.values()) > 0
    families = {line["kernel"].partition("[")[0]: line for line in found["kernels"]}
    wanted = {"gemv.rows": "read", "gemm.rows": "int8", "quantize.tiles": "read", "rope.rope_store": "read"}
    assert wanted.items() <= {name: line["limit"] for name, line in families.items()}.items()
    assert sorted(line["limit"] for line in found["kernels"] if "attend" in line["kernel"]) == ["f32", "read"]
    for line in found["kernels"]:
        assert line["rates"]["1"] > 0 and line["shares"]["1"] > 0


def test_peers_take_turns_and_are_compared_pair_by_pair(model, peer):
    options = "-p 8 -n 4 -d 3 -t 1 -r 3 --pause 0 --json".split()
    done = run("bench_peers", "--llama-bench", peer, "--models", model, *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [r["first"] for r in found["rounds"]] == ["llamakit", "peer", "llamakit"]
    assert [s["test"] for s in found["summary"]] == ["pp8 @ d3", "tg4 @ d3"]
    for s in found["summary"]:
        ratios = sorted(r["tests"][s["test"]]["llamakit"] / 2.0 for r in found["rounds"])
        assert [s["ratio_min"], s["ratio"], s["ratio_max"]] == pytest.approx(ratios)
        assert s["peer"] == 2.0 and s["percent_of_limit"] > 0


def test_a_peer_that_fails_is_named_with_its_message(model, peer):
    peer.write_text(f"#!{sys.executable}\nimport sys; sys.exit('no such model')\n")
    done = run("bench_peers", "--llama-bench", peer, "--models", model, *"-p 0 -n 2 -t 1 -r 1 --pause 0".split())
    assert done.returncode == 1
    assert str(peer) in done.stderr and "no such model" in done.stderr


def test_converting_is_measured_with_a_folder_made_of_a_model(tmp_path: Path) -> None:
    keys = bpe_metadata(["t h", "th e"])
    tiny = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys)
    path, folder = write_tiny(tmp_path / "tiny.gguf", tiny), tmp_path / "hf"
    done = run("bench_convert", "--gguf", path, "--folder", folder, "--rounds", 1, "--outtype", "f32")
    assert done.returncode == 0, done.stderr
    assert "llamakit" in done.stdout and "allowed: 2 x 0.0 MB" in done.stdout
    source = Source.open(folder)
    with GGUFReader(path) as reader:
        for name, weight in source.mapped.weights.items():
            wanted = quantize(np.asarray(dequantize(reader.tensor(name).data, reader.tensor(name).type)), "bf16")
            np.testing.assert_array_equal(weight.load().reshape(-1), wanted.view(np.uint16).reshape(-1))
