"""`llamakit quantize`: llama-quantize's command line, lines and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.cli.quantize import layers, read_words, tensor_type_pair
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry, write_gguf
from llamakit.tools.quantize.file_types import FILE_TYPES
from tests.tools.quantize.model import SHAPES, quantized, types_of, weights, write_model

Capture = pytest.CaptureFixture[str]
Q = "blk.0.attn_q.weight"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "in.gguf")


@pytest.mark.parametrize(
    "words, want",
    [
        (["Q4_K_M"], ("folder/ggml-model-Q4_K_M.gguf", "Q4_K_M", None)),
        (["q4_k"], ("folder/ggml-model-Q4_K.gguf", "Q4_K_M", None)),
        (["7"], ("folder/ggml-model-Q8_0.gguf", "Q8_0", None)),
        (["out.gguf", "q8_0"], ("out.gguf", "Q8_0", None)),
        (["out.gguf", "15", "3"], ("out.gguf", "Q4_K_M", 3)),
        (["Q8_0", "3"], ("folder/ggml-model-Q8_0.gguf", "Q8_0", 3)),
        (["Q8_0", "0"], ("folder/ggml-model-Q8_0.gguf", "Q8_0", None)),
    ],
)
def test_output_type_and_threads_are_told_apart(words: list[str], want: tuple[str, str, int | None]) -> None:
    output, file_type, n_threads = read_words("folder/in.gguf", words)
    assert (output, file_type.name, n_threads) == want


@pytest.mark.parametrize(
    "args, message",
    [
        ([], "the argument TYPE is missing"),
        (["out.gguf"], "the argument TYPE is missing ('out.gguf' is not one"),
        (["out.gguf", "Q9"], "invalid type 'Q9'"),
        (["out.gguf", "Q8_0", "many"], "invalid number of threads: 'many'"),
        (["out.gguf", "Q8_0", "2", "3"], "invalid argument: 3"),
        (["Q8_0", "--tensor-type", "attn_q"], "'attn_q' is not REGEX=TYPE"),
        (["Q8_0", "--tensor-type", "attn_q=q9"], "--tensor-type: unknown tensor type 'q9'"),
        (["Q8_0", "--tensor-type-file", "absent.txt"], "--tensor-type-file: cannot read absent.txt: No such file"),
        (["Q8_0", "--output-tensor-type", "Q4_K_M"], "--output-tensor-type: unknown tensor type 'Q4_K_M'"),
        (["Q8_0", "--prune-layers", "1,x"], "--prune-layers: '1,x' is not L0,L1"),
        (["Q8_0", "--override-kv", "a=b"], "--override-kv: 'a=b' is not KEY=TYPE:VALUE"),
        (["Q8_0", "--include-weights", "a", "--exclude-weights", "b"], "cannot be used together"),
        (["Q8_0", "--no-such-flag"], "invalid argument: --no-such-flag"),
    ],
)
def test_a_line_that_makes_no_sense_is_one_line_and_exit_1(
    args: list[str], message: str, source: Path, capsys: Capture
) -> None:
    assert run(["quantize", str(source), *args]) == 1
    out, err = capsys.readouterr()
    assert message in err and err.startswith("error: ") and err.count("\n") == 1 and out == ""


def test_a_missing_model_is_called_as_in_the_help(capsys: Capture) -> None:
    assert run(["quantize"]) == 1
    assert capsys.readouterr().err == "error: the argument IN.gguf is missing\n"


def test_patterns_may_hold_an_equals_sign() -> None:
    assert tensor_type_pair("(?=attn)q=q8_0") == ("(?=attn)q", GGMLType.Q8_0)


def test_layers_are_a_list_of_numbers() -> None:
    assert layers("3, 5,5") == {3, 5}
    assert layers(None) == frozenset()
    with pytest.raises(InvalidArgument):
        layers("")


def test_the_file_is_written_and_every_tensor_told(source: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "out.gguf"
    assert run(["quantize", str(source), str(output), "Q4_K_M", "2"]) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == f"quantizing '{source}' to '{output}' as Q4_K_M using 2 threads"
    assert lines[1] == (
        "[   1/   9] output.weight                        - [   256,     40,      1,      1], type =    f16, "
        "converting to q6_K .. size =     0.02 MiB ->     0.01 MiB"
    )
    assert lines[2].endswith("output_norm.weight                   - [   256,      1,      1,      1], type =    f32, "
                             "size =    0.001 MiB")  # fmt: skip
    assert len(lines) == 1 + len(SHAPES)
    assert out.splitlines()[:2] == [
        "model size  =     0.79 MiB (16.03 BPW)",
        "quant size  =     0.26 MiB (5.25 BPW)",
    ]
    assert out.splitlines()[3].startswith("quantize time = ")
    quantized(source, tmp_path / "same.gguf", "Q4_K_M")
    assert output.read_bytes() == (tmp_path / "same.gguf").read_bytes()


def test_json_holds_types_and_size_and_nothing_else_is_on_stdout(source: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "out.gguf"
    shown = {}
    for flags in (["--dry-run"], []):
        assert run(["quantize", str(source), str(output), "Q4_K_M", "--json", *flags]) == 0
        shown[not flags] = json.loads(capsys.readouterr().out)
        assert output.exists() is not bool(flags)
    assert shown[True] == shown[False]
    assert shown[True]["tensors"] == {name: type_.lower() for name, type_ in types_of(output).items()}
    with GGUFReader(output) as reader:
        n_bytes = sum(tensor.n_bytes for tensor in reader.tensors)
        n_values = sum(tensor.n_values for tensor in reader.tensors)
    assert (shown[True]["bytes"], shown[True]["bpw"]) == (n_bytes, 8 * n_bytes / n_values)


def test_a_dry_run_says_what_would_be_and_writes_nothing(source: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(["quantize", "--dry-run", str(source), "IQ2_XXS"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == f"calculating quantization size for '{source}' as IQ2_XXS"
    assert "size =     0.12 MiB ->     0.02 MiB (iq2_xxs)" in err
    assert "WARNING: this needs an importance matrix (--imatrix)" in err
    assert "quant size" in out and "quantize time" not in out
    assert [path.name for path in tmp_path.iterdir()] == ["in.gguf"]


def test_the_output_may_be_left_out(source: Path, tmp_path: Path) -> None:
    assert run(["quantize", str(source), "q4_0"]) == 0
    assert types_of(tmp_path / "ggml-model-Q4_0.gguf")[Q] == "Q4_0"


def test_flags_reach_the_plan(source: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "types.txt"
    pairs.write_text("blk.1.ffn_down=f16\n  norm=q8_0 ")
    output = tmp_path / "out.gguf"
    flags = ["--pure", "--tensor-type", "attn_q=q5_0", "--tensor_type_file", str(pairs), "--output-tensor-type", "Q8_0"]
    flags += ["--token-embedding-type=q6_k", "--override-kv", "general.name=str:new", "--max-buffer-size", "100"]
    assert run(["quantize", *flags, str(source), str(output), "Q4_0"]) == 0
    assert types_of(output) == {
        "output.weight": "Q8_0",
        "output_norm.weight": "F32",
        "token_embd.weight": "Q6_K",
        "blk.0.attn_norm.weight": "F32",
        "blk.0.attn_q.weight": "Q5_0",
        "blk.0.ffn_down.weight": "Q4_0",
        "blk.1.attn_norm.weight": "F32",
        "blk.1.attn_q.weight": "Q5_0",
        "blk.1.ffn_down.weight": "F16",
    }
    with GGUFReader(output) as reader:
        assert reader.metadata["general.name"] == "new"
    assert run(["quantize", str(source), str(output), "COPY", "--prune-layers", "0", "--leave-output-tensor"]) == 0
    assert len(types_of(output)) == 6


def write_imatrix(path: Path, n: int = 256, names: tuple[str, ...] = (Q, "blk.1.attn_q.weight")) -> Path:
    entries = {name: ImatrixEntry(np.ones((1, n), np.float32), np.ones(1, np.float32)) for name in names}
    write_gguf(path, Imatrix(entries, ("wiki.txt",), 3, 512))
    return path


def test_an_importance_matrix_is_told_and_used(source: Path, tmp_path: Path, capsys: Capture) -> None:
    imatrix, output = write_imatrix(tmp_path / "i.gguf"), tmp_path / "out.gguf"
    flags = ["--imatrix", str(imatrix), "--exclude-weights", "blk.1"]
    assert run(["quantize", *flags, str(source), str(output), "Q4_0"]) == 0
    err = capsys.readouterr().err
    assert "imatrix datasets=['wiki.txt']" in err
    assert f"loaded 2 importance matrix entries from {imatrix} computed on 3 chunks" in err
    assert "have 1 importance matrix entries" in err
    assert "did not find weights for 5 tensor(s), such as output.weight" in err
    with GGUFReader(output) as reader:
        assert reader.metadata["quantize.imatrix.file"] == str(imatrix)
        assert reader.metadata["quantize.imatrix.entries_count"] == 1


def test_fault_57_an_importance_matrix_of_another_model_is_refused(
    source: Path, tmp_path: Path, capsys: Capture
) -> None:
    for i, imatrix in enumerate(
        (write_imatrix(tmp_path / "a.gguf", n=128), write_imatrix(tmp_path / "b.gguf", names=("blk.0.other.weight",)))
    ):
        assert run(["quantize", "--imatrix", str(imatrix), str(source), str(tmp_path / "out.gguf"), "Q4_0"]) == 2, i
        assert "another model" in capsys.readouterr().err
    assert not (tmp_path / "out.gguf").exists()


def test_fault_57_entries_that_saw_no_input_are_explained(source: Path, tmp_path: Path, capsys: Capture) -> None:
    entry = ImatrixEntry(np.zeros((1, 256), np.float32), np.zeros(1, np.float32))
    write_gguf(tmp_path / "i.gguf", Imatrix({Q: entry}, (), 1, 1))
    args = ["--imatrix", str(tmp_path / "i.gguf"), str(source), str(tmp_path / "out.gguf"), "Q4_0"]
    assert run(["quantize", *args]) == 0
    assert "WARNING: 1 entries hold matrices that saw no input" in capsys.readouterr().err


def test_types_that_gave_way_are_counted(tmp_path: Path, capsys: Capture) -> None:
    shapes = {"token_embd.weight": (256, 40), Q: (288, 64), "blk.1.attn_q.weight": (72, 64)}
    source = write_model(tmp_path / "in.gguf", weights(shapes))
    assert run(["quantize", str(source), str(tmp_path / "out.gguf"), "Q4_K_S"]) == 0
    err = capsys.readouterr().err
    assert "WARNING: 2 of 3 tensor(s) required fallback quantization: 1 q4_K -> q5_0, 1 q4_K -> f16" in err


def test_a_low_type_without_importance_is_refused(source: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(["quantize", str(source), str(tmp_path / "out.gguf"), "IQ2_XXS"]) == 1
    assert "needs an importance matrix" in capsys.readouterr().err
    assert not (tmp_path / "out.gguf").exists()


def test_log_disable_leaves_the_sizes(source: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(["quantize", "--log-disable", str(source), str(tmp_path / "out.gguf"), "Q4_0"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "quant size" in out


def test_the_help_lists_every_type(capsys: Capture) -> None:
    assert run(["quantize", "--help"]) == 0
    shown = capsys.readouterr().out
    for file_type in FILE_TYPES:
        assert f"{file_type.number:>2}  {file_type.name:<10} {file_type.bpw:>5.2f}" in shown
