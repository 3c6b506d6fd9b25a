"""`run` reads the options of llama.cpp's completion tool; and what its own ones do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llamakit.cli.app import run as run_llamakit
from llamakit.cli.compat import NO_EFFECT
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import HELP, spellings_of
from llamakit.cli.parsing.typer_command import typer_command
from llamakit.cli.run import run
from llamakit.core.gguf.reader import GGUFReader
from tests.core.vocab.vocabs import bpe_metadata
from tests.fake_engine import FakeEngine
from tests.tiny import Tiny, write_tiny

Capture = pytest.CaptureFixture[str]
TABLE = Path(__file__).parents[3] / "shared/spec/cli.md"
ELSEWHERE = {"--version", "-hf", "-hfr", "--hf-repo", "-hff", "--hf-file", "-hft", "--hf-token", "-mu", "--model-url"}
MEDIA = {"--image", "--audio", "--video"}


def core_options() -> set[str]:
    """Spellings that the tool of 2024 had, from the table of options."""
    found: set[str] = set()
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 7 and cells[4] == "core" and (cells[5] == "all" or "c" in cells[5]):
            found |= set(cells[0].split(", "))
    return found


@pytest.mark.skipif(not TABLE.exists(), reason="needs ../shared/spec/cli.md")
def test_every_core_option_is_read_or_passed_over() -> None:
    read = {*spellings_of(typer_command("run", flatten(run))), *NO_EFFECT, *HELP}
    wanted = core_options()
    assert len(wanted) > 100
    assert wanted - read - ELSEWHERE - MEDIA == set()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of two merges, whose texts are gibberish and never end."""
    keys = bpe_metadata(["a b", "b a"], specials=())
    keys = {key: value for key, value in keys.items() if not key.endswith(("bos_token_id", "eos_token_id"))}
    tiny = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), n_ctx=256, metadata=keys)
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", tiny))


def completed(capsys: Capture, *args: str) -> tuple[str, str]:
    """Stdout and stderr of a run that succeeds."""
    assert run_llamakit(["run", "-p", "ab ba", "-n", "6", "--temp", "0", "-c", "64", *args]) == 0
    out, err = capsys.readouterr()
    return out, err


@pytest.mark.parametrize(
    "args, overrides",
    [
        ("--rope-scaling yarn", {"rope.scaling.type": "yarn"}),
        ("--rope-scale 4", {"rope.scaling.factor": 4.0}),
        ("--rope-freq-scale 0.25", {"rope.scaling.factor": 4.0}),
        ("--rope-freq-base 5000", {"rope.freq_base": 5000.0}),
        ("--yarn-orig-ctx 32", {"rope.scaling.original_context_length": 32}),
        ("--yarn-ext-factor 0.5 --yarn-attn-factor 1", {
            "rope.scaling.yarn_ext_factor": 0.5, "rope.scaling.attn_factor": 1.0,
        }),
        ("--yarn-beta-slow 2 --yarn-beta-fast 16", {
            "rope.scaling.yarn_beta_slow": 2.0, "rope.scaling.yarn_beta_fast": 16.0,
        }),
        ("--rope-freq-base 0 --yarn-orig-ctx 0 --yarn-ext-factor -1 --yarn-attn-factor -1", {}),
    ],
)  # fmt: skip
def test_rotations_are_metadata_of_the_models_architecture(
    args: str, overrides: dict[str, object], model: str, fake_engine: FakeEngine
) -> None:
    assert run_llamakit(["run", "-m", model, "-p", "x", *args.split()]) == 0
    assert fake_engine.asked[0]["overrides"] == {f"llama.{key}": value for key, value in overrides.items()}


@pytest.mark.parametrize(
    "args, message",
    [
        ("--rope-scaling cubic", "--rope-scaling: 'cubic' is not none, linear or yarn"),
        ("--rope-scale 0", "--rope-scale: 0.0 is not above 0"),
        ("--rope-freq-base -1", "rope freq base is -1.0; it must be above 0"),
        ("-gan 3 -gaw 512", "self-extend: a width of 512 must be a multiple of 3"),
        ("--temp nan", "temperature is nan"),
        ("--grammar root", "GBNF, line 1"),
        ("--log-file /no/such/log", "--log-file /no/such/log: No such file or directory"),
    ],
)
def test_what_makes_no_sense_is_said_before_the_model_is_loaded(args: str, message: str, capsys: Capture) -> None:
    assert run_llamakit(["run", "-m", "/no/such.gguf", "-p", "x", *args.split()]) in (1, 2)
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and err.count("\n") == 1


def test_rotations_change_the_text(model: str, capsys: Capture) -> None:
    plain = completed(capsys, "-m", model)[0]
    assert completed(capsys, "-m", model, "--rope-scale", "1")[0] == plain
    assert completed(capsys, "-m", model, "--rope-freq-base", "3")[0] != plain


def test_self_extend_squeezes_what_is_full(model: str, capsys: Capture) -> None:
    plain = completed(capsys, "-m", model, "-n", "58")[0]
    squeezed = completed(capsys, "-m", model, "-n", "58", "-gan", "4", "-gaw", "16")[0]
    assert squeezed[:16] == plain[:16]
    assert squeezed != plain


def test_files_are_joined(fake_engine: FakeEngine, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(f"text {name}\\t\n")
    listed = f"{tmp_path}/a,{tmp_path}/b"
    assert run_llamakit(["run", "-m", "x", "--in-file", listed, "--in-file", f"{tmp_path}/c"]) == 0
    assert bytes(fake_engine.contexts[-1].cells[1:]) == b"text a\t\ntext b\t\ntext c\t"


@pytest.mark.parametrize(
    "order, text, warning",
    [
        (("-p", "-f"), b"text f", "-f takes the place of -p"),
        (("-f", "-p"), b"typed", "-p takes the place of -f"),
        (("-f", "-p", "-bf"), b"text bf", "-bf takes the place of -p"),
        (("-p", "--in-file"), b"text in", "--in-file takes the place of -p"),
        (("--in-file", "--file"), b"text f", "--file takes the place of --in-file"),
    ],
)
def test_of_several_prompts_the_last_one_counts(
    order: tuple[str, ...], text: bytes, warning: str, fake_engine: FakeEngine, tmp_path: Path, capsys: Capture
) -> None:
    sources = {"-p": "typed"}
    for name, option in (("f", "-f"), ("f", "--file"), ("bf", "-bf"), ("in", "--in-file")):
        (tmp_path / name).write_text(f"text {name}")
        sources[option] = str(tmp_path / name)
    assert run_llamakit(["run", "-m", "x", *(word for name in order for word in (name, sources[name]))]) == 0
    assert bytes(fake_engine.contexts[-1].cells[1:]) == text
    assert warning in capsys.readouterr().err


def test_a_prompt_file_that_is_not_there_is_an_error_beside_a_prompt_too(capsys: Capture) -> None:
    assert run_llamakit(["run", "-m", "x", "-p", "typed", "-f", "/no/such.txt"]) == 2
    assert "error: /no/such.txt: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args, seen, unseen",
    [
        ("", "eval time", "Tokens"),
        ("-lv 2", "trained on only", "eval time"),
        ("-lv 1", "", "trained on only"),
        ("--log-disable", "", "trained on only"),
        ("--no-perf", "trained on only", "eval time"),
        ("-ptc 3", "Tokens consumed so far = 6 / 300", "= 5 / 300"),
    ],
)
def test_what_stderr_and_the_log_file_are_told(
    args: str, seen: str, unseen: str, fake_engine: FakeEngine, tmp_path: Path, capsys: Capture
) -> None:
    fake_engine.script = list(b"abcdef")
    log = tmp_path / "log"
    assert run_llamakit(["run", "-m", "x", "-p", "ab", "-c", "300", "--log-file", str(log), *args.split()]) == 0
    for text in (capsys.readouterr().err, log.read_text()):
        assert seen in text
        assert unseen not in text


def test_the_prompt_cache_is_told_of(model: str, tmp_path: Path, capsys: Capture) -> None:
    args = ["-m", model, "--prompt-cache", str(tmp_path / "x")]
    first, err = completed(capsys, *args)
    assert "prompt cache" not in err
    again, err = completed(capsys, *args)
    assert again == first
    assert "prompt cache: 3 / 3 tokens of the prompt are known" in err
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-1])
    again, err = completed(capsys, *args)
    assert again == first
    assert err.startswith(f"{tmp_path}/x: is damaged or cut short")


def test_the_cache_of_another_type_is_refused_in_one_line(model: str, tmp_path: Path, capsys: Capture) -> None:
    args = ["-m", model, "--prompt-cache", str(tmp_path / "x")]
    completed(capsys, *args)
    assert run_llamakit(["run", "-p", "ab", *args, "-ctk", "f32", "-ctv", "f32"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {tmp_path}/x: cannot be used here: it was saved with other types of cache")


def test_damaged_weights_are_found_first(model: str, tmp_path: Path, capsys: Capture) -> None:
    completed(capsys, "-m", model, "--check-tensors")
    with GGUFReader(model) as reader:
        offset = reader.tensor("blk.1.ffn_up.weight").offset
    data = bytearray(Path(model).read_bytes())
    data[offset + 8 : offset + 12] = b"\x00\x00\xc0\x7f"  # NaN
    (tmp_path / "bad.gguf").write_bytes(data)
    assert run_llamakit(["run", "-p", "ab", "-m", str(tmp_path / "bad.gguf"), "--check-tensors"]) == 2
    err = capsys.readouterr().err
    assert "blk.1.ffn_up.weight" in err.splitlines()[0]
    assert err.splitlines()[1].endswith("--check-tensors: 1 of its tensors are damaged; fetch the file anew")


@pytest.mark.parametrize("option", ["--verbose-prompt", "-ptc"])
@pytest.mark.parametrize("command", ["run -cnv -st", "chat -st"])
def test_what_a_conversation_passes_over_is_said(command: str, option: str, model: str, capsys: Capture) -> None:
    words = [*command.split(), "-m", model, "-p", "ab", "-n", "2", option, *(["3"] if option == "-ptc" else [])]
    assert run_llamakit(words) == 0
    assert f"warn: {option} has no effect in" in capsys.readouterr().err


def test_a_conversation_file_needs_a_conversation(capsys: Capture, tmp_path: Path) -> None:
    assert run_llamakit(["run", "-m", "/no/such.gguf", "-p", "x", "-o", str(tmp_path / "out.md")]) == 1
    assert capsys.readouterr().err.startswith("error: -o writes a conversation, and this is none: add -cnv")


@pytest.mark.parametrize("command", ["run", "chat"])
@pytest.mark.parametrize("which", ["all", "ro"])
def test_a_prompt_cache_without_a_file_is_said(command: str, which: str, capsys: Capture) -> None:
    assert run_llamakit([command, "-m", "/no/such.gguf", "-p", "x", f"--prompt-cache-{which}"]) == 2
    assert f"--prompt-cache-{which} has no effect without --prompt-cache FILE" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "chat"])
def test_a_prompt_cache_that_cannot_be_written_is_refused_before_the_work(command: str, capsys: Capture) -> None:
    assert run_llamakit([command, "-m", "/no/such.gguf", "-p", "x", "--prompt-cache", "/no/such/state"]) == 2
    assert capsys.readouterr().err == "error: /no/such/state: cannot write: No such file or directory\n"
    words = [command, "-m", "/no/such.gguf", "-p", "x", "--prompt-cache", "/no/such/state", "--prompt-cache-ro"]
    assert run_llamakit(words) == 2
    assert "/no/such.gguf" in capsys.readouterr().err
