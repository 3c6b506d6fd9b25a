"""Architectures from outside: docs/my_arch.py converted and run, files and packages that are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.convert.config import Config
from llamakit.convert.registry import find_family
from llamakit.core.models import own_architectures, registry
from llamakit.errors import ModelError
from tests.convert.folders import safetensors_bytes, tensors, write_folder
from tests.running import open_decoder, reference

MY_ARCH = Path(__file__).parents[3] / "docs" / "my_arch.py"
NAMES = {
    "input_layernorm": "norm", "self_attn.q_proj": "attn.q", "self_attn.k_proj": "attn.k", "self_attn.v_proj": "attn.v",
    "self_attn.o_proj": "attn.out", "mlp.gate_proj": "mlp.gate", "mlp.up_proj": "mlp.up", "mlp.down_proj": "mlp.down",
}  # fmt: skip
GLOW, N_HEAD, N_HEAD_KV, DIM = 1.5, 4, 2, 8
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_architectures, "_added", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = {"architectures": ["LumenForCausalLM"], "model_type": "lumen", "glow": GLOW}
    folder = write_folder(tmp_path / "lumen", config)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(lumen_tensors()))
    return folder


def lumen_tensors() -> dict[str, np.ndarray]:
    found = {}
    for name, array in tensors().items():
        for theirs, lumens in NAMES.items():
            name = name.replace(theirs, lumens)
        if "post_attention" not in name:
            found[name] = array
    return found


def lumen(w: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """The whole model as transformers would have it.   -> (n_tokens, n_vocab)"""

    def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-5) * weight

    def turned(x: np.ndarray) -> np.ndarray:
        angles = np.arange(len(tokens))[:, None, None] * 10000.0 ** (-np.arange(0, DIM, 2) / DIM)
        a, b = np.split(x, 2, axis=-1)
        return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], -1)

    x = GLOW * w["model.embed_tokens.weight"][tokens].astype(np.float64)
    mask = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    for i in range(2):

        def project(x: np.ndarray, name: str, i: int = i) -> np.ndarray:
            return np.asarray(x @ w[f"model.layers.{i}.{name}.weight"].T)

        h = norm(x, w[f"model.layers.{i}.norm.weight"])
        q, k, v = (project(h, f"attn.{name}").reshape(len(tokens), -1, DIM) for name in "qkv")
        q, k = turned(q), np.repeat(turned(k), N_HEAD // N_HEAD_KV, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) / DIM**0.5 + mask
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        attended = np.einsum("hqk,khd->qhd", shares, np.repeat(v, N_HEAD // N_HEAD_KV, axis=1))
        gate = project(h, "mlp.gate")
        hidden = gate / (1 + np.exp(-gate)) * project(h, "mlp.up")
        x = x + project(attended.reshape(len(tokens), -1), "attn.out") + project(hidden, "mlp.down")
    return np.asarray(norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T)


def test_the_sample_converts_and_computes_its_formula(folder: Path, tmp_path: Path) -> None:
    path, tokens = tmp_path / "lumen.gguf", [5, 200, 7, 7, 31]
    args = ["convert-hf", str(folder), "--arch-file", str(MY_ARCH), "--outtype", "f32", "--outfile", str(path)]
    assert run(args) == 0
    logits = reference(open_decoder(path)).run(np.array(tokens))
    np.testing.assert_allclose(logits, lumen(lumen_tensors(), tokens)[-len(logits) :], atol=2e-6)


def test_no_command_knows_it_unless_its_file_is_named(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "lumen.gguf"
    assert run(["convert-hf", str(folder), "--arch-file", str(MY_ARCH), "--outfile", str(path)]) == 0
    own_architectures._added.clear()
    assert run(["run", "-m", str(path), "-p", "x", "-n", "1"]) == 2
    assert "unknown architecture 'lumen'" in capsys.readouterr().err
    assert run(["gguf", "verify", "--json", str(path)]) == 0
    assert "'lumen' is not known here" in capsys.readouterr().out
    assert run(["gguf", "verify", "--json", str(path), "--arch-file", str(MY_ARCH)]) == 0
    assert "is not known here" not in capsys.readouterr().out


def test_an_own_class_goes_before_the_one_here(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from llamakit.core.models.llama import Llama\nclass Mine(Llama):\n    arch = 'command-r'\n")
    built_in = registry.lookup("command-r")
    own_architectures.add_file(path)
    found = registry.lookup("command-r")
    assert found is not None and found.__name__ == "Mine" and found is not built_in


@pytest.mark.parametrize(
    "code, words",
    [
        ("x = 1", "no class with an `arch`"),
        ("class A:\n    pass", "no class with an `arch`"),
        ("from llamakit.core.models.llama import Llama", "no class with an `arch`"),
        ("def f(:\n", r"SyntaxError: "),
        ("x = 1\ny = 1 / 0\n", r"mine\.py: line 2: ZeroDivisionError"),
        ("import absent_module", "line 1: ModuleNotFoundError: No module named 'absent_module'"),
    ],
)
def test_files_that_hold_none_are_told_with_their_line(code: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(code)
    with pytest.raises(ModelError, match=words):
        own_architectures.add_file(path)
    with pytest.raises(ModelError, match="no such file"):
        own_architectures.add_file(tmp_path / "absent.py")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with an architecture, a family, and two entry points that lead nowhere."""
    site = tmp_path / "site"
    (site / "nova-1.0.dist-info").mkdir(parents=True)
    (site / "nova-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: nova\nVersion: 1.0\n")
    (site / "nova-1.0.dist-info/entry_points.txt").write_text(
        "[llamakit.architectures]\nnova = nova_pkg:Nova\nbroken = nova_pkg:Absent\nnumber = nova_pkg:NUMBER\n"
        "llama = nova_pkg:Nova\n[llamakit.families]\nNovaForCausalLM = nova_pkg:NovaCheckpoint\n"
    )
    (site / "nova_pkg.py").write_text(
        "from llamakit.core.models.llama import Llama\nfrom llamakit.convert.family import Family\nNUMBER = 1\n"
        "class Nova(Llama):\n    arch = 'nova'\nclass NovaCheckpoint(Family):\n    arch = 'nova'\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield site


def test_installed_packages_are_asked_for_what_is_unknown_here(package: Path, tmp_path: Path) -> None:
    found = registry.lookup("nova")
    assert found is not None and found.__name__ == "Nova"
    built_in = registry.lookup("llama")
    assert built_in is not None and built_in.__module__ == "llamakit.core.models.llama"
    assert registry.lookup("supernova") is None
    config = Config(tmp_path / "config.json", {"architectures": ["NovaForCausalLM"]})
    assert find_family(config).__name__ == "NovaCheckpoint"


@pytest.mark.parametrize("name, words", [("broken", "fails: AttributeError"), ("number", "no subclass of Decoder")])
def test_packages_that_fail_are_named(name: str, words: str, package: Path) -> None:
    with pytest.raises(ModelError, match=words):
        registry.lookup(name)
