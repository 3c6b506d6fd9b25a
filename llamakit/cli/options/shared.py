"""Options that several commands share, each declared once."""

from __future__ import annotations

import re
from typing import Annotated, Any

from llamakit.cli.console import Report
from llamakit.cli.parsing.declared import Declared
from llamakit.cli.parsing.reader import InvalidArgument, OneOf, OptionalWord

COMMON = "Common options"
SAMPLING = "Sampling"
OUTPUT = "Prompt and output"


def option(*names: str, help: str, panel: str = COMMON, env: str | None = None, **more: Any) -> Any:
    """An option; `env` is the part of its variable after `LLAMA_ARG_`, `more` is for Typer's help."""
    return Declared(names, help, panel, f"LLAMA_ARG_{env}" if env else None, more)


# Model and context
Model = Annotated[
    str | None,
    option("-m", "--model", env="MODEL", help="GGUF file, or hf:ORG/REPO[:QUANT] and the like; without it, the demo."),
]
ArchFile = Annotated[
    list[str],
    option("--arch-file", help="Python file with an architecture of your own, which is run; repeat for more."),
]
OverrideKv = Annotated[
    list[str],
    option("--override-kv", help="Metadata to change, KEY=TYPE:VALUE (int, float, bool, str); repeat or comma list."),
]
UseMmap = Annotated[bool, option("--mmap/--no-mmap", env="MMAP", help="Map the file rather than read it.")]
CtxSize = Annotated[
    int | None, option("-c", "--ctx-size", env="CTX_SIZE", help="Context length; 0: as trained.", show_default="4096")
]
BatchSize = Annotated[int, option("-b", "--batch-size", env="BATCH", help="Most tokens given to one decode.")]
UbatchSize = Annotated[int, option("-ub", "--ubatch-size", env="UBATCH", help="Most tokens computed at once.")]
Threads = Annotated[int, option("-t", "--threads", env="THREADS", help="Threads for generation; -1: all cores.")]
ThreadsBatch = Annotated[
    int | None, option("-tb", "--threads-batch", help="Threads for the prompt.", show_default="as --threads")
]
CacheTypeK = Annotated[
    str, option("-ctk", "--cache-type-k", env="CACHE_TYPE_K", help="Type of cached keys: f32 f16 bf16 q8_0.")
]
CacheTypeV = Annotated[
    str, option("-ctv", "--cache-type-v", env="CACHE_TYPE_V", help="Type of cached values: f32 f16 bf16 q8_0.")
]
Warmup = Annotated[bool, option("--warmup/--no-warmup", help="Run once before the clock starts.")]
Verbose = Annotated[bool, option("-v", "--verbose", "--log-verbose", help="Say more; show tracebacks.")]
LogDisable = Annotated[bool, option("--log-disable", help="Nothing on stderr but errors.")]

# Sampling
Seed = Annotated[int, option("-s", "--seed", panel=SAMPLING, help="Seed; -1: a random one.")]
Temperature = Annotated[
    float, option("--temp", "--temperature", env="TEMPERATURE", panel=SAMPLING, help="Temperature; 0: greedy.")
]
TopK = Annotated[int, option("--top-k", env="TOP_K", panel=SAMPLING, help="Keep the k most likely; 0: all.")]
TopP = Annotated[float, option("--top-p", env="TOP_P", panel=SAMPLING, help="Keep the smallest set above p; 1: off.")]
MinP = Annotated[
    float, option("--min-p", env="MIN_P", panel=SAMPLING, help="Keep what has p times the best's share; 0: off.")
]
RepeatPenalty = Annotated[
    float, option("--repeat-penalty", env="REPEAT_PENALTY", panel=SAMPLING, help="Repetition penalty; 1: off.")
]
RepeatLastN = Annotated[
    int, option("--repeat-last-n", panel=SAMPLING, help="Tokens the penalties look at; 0: off, -1: context.")
]
PresencePenalty = Annotated[
    float, option("--presence-penalty", env="PRESENCE_PENALTY", panel=SAMPLING, help="Presence penalty; 0: off.")
]
FrequencyPenalty = Annotated[
    float, option("--frequency-penalty", env="FREQUENCY_PENALTY", panel=SAMPLING, help="Frequency penalty; 0: off.")
]
IgnoreEos = Annotated[bool, option("--ignore-eos", panel=SAMPLING, help="Never end the text by itself.")]

# Prompt and output
PROMPT_SOURCE = OneOf("prompt")
Prompt = Annotated[str | None, PROMPT_SOURCE, option("-p", "--prompt", panel=OUTPUT, help="Text to go on from.")]
PromptFile = Annotated[
    str | None,
    PROMPT_SOURCE,
    option("-f", "--file", panel=OUTPUT, help="File with that text; of -p, -f the last counts."),
]
BinaryFile = Annotated[
    str | None, PROMPT_SOURCE, option("-bf", "--binary-file", panel=OUTPUT, help="The same, taken as it is.")
]
Escape = Annotated[
    bool, option("-e/--no-escape", "--escape", panel=OUTPUT, help=r"Read \n \t \r \' \" \\ in the prompt.")
]
Predict = Annotated[
    int,
    option(
        "-n",
        "--predict",
        "--n-predict",
        env="N_PREDICT",
        panel=OUTPUT,
        help="Tokens to make; -1: until the text ends, -2: until the context is full.",
    ),
]
Keep = Annotated[
    int,
    option(
        "--keep",
        panel=OUTPUT,
        help="Prompt tokens kept on a context shift; -1: all. Models without BOS need a few to go on well.",
    ),
]
ContextShift = Annotated[
    bool,
    option(
        "--context-shift/--no-context-shift",
        env="CONTEXT_SHIFT",
        panel=OUTPUT,
        help="Drop the oldest text when the context is full.",
    ),
]
ReversePrompt = Annotated[
    list[str], option("-r", "--reverse-prompt", panel=OUTPUT, help="Stop after this text; repeat for more.")
]
DisplayPrompt = Annotated[
    bool, option("--display-prompt/--no-display-prompt", panel=OUTPUT, help="Print the prompt too.")
]
Color = Annotated[
    str, OptionalWord(), option("-co", "--color", panel=OUTPUT, help="Colour the prompt: on, off or auto.")
]
VerbosePrompt = Annotated[bool, option("--verbose-prompt", panel=OUTPUT, help="Print the prompt's tokens on stderr.")]
Special = Annotated[bool, option("-sp", "--special", panel=OUTPUT, help="Print special tokens.")]


def demo_model(report: Report | None) -> str:
    """The model to use when none is given, fetched once."""
    from llamakit.tools.catalog import DEMO, is_complete, models_folder

    path = models_folder() / DEMO.file_name
    if not is_complete(path, DEMO):
        from llamakit.tools.pull import pull

        path = pull("demo", report)
    return str(path)


def add_arch_files(paths: list[str]) -> None:
    """Know the architectures of Python files. Raises ModelError for files that cannot be run."""
    if not paths:
        return
    from llamakit.core.models.own_architectures import add_file

    for path in paths:
        add_file(path)


OVERRIDE = re.compile(r"([^=,]+)=(int|float|bool|str):(.*?)(?:,(?=[^=,]+=(?:int|float|bool|str):)|$)", re.DOTALL)


def parse_overrides(texts: list[str]) -> dict[str, int | float | bool | str]:
    """`KEY=TYPE:VALUE,...` -> metadata values. Raises InvalidArgument for anything else."""
    overrides: dict[str, int | float | bool | str] = {}
    for text in texts:
        position = 0
        while match := OVERRIDE.match(text, position):
            overrides[match[1]] = override_value(match[2], match[3], text)
            position = match.end()
        if position != len(text) or not text:
            raise InvalidArgument(f"--override-kv: {text!r} is not KEY=TYPE:VALUE with TYPE int, float, bool or str")
    return overrides


def override_value(kind: str, text: str, whole: str) -> int | float | bool | str:
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text]
        return int(text) if kind == "int" else float(text) if kind == "float" else text
    except (ValueError, KeyError):
        raise InvalidArgument(f"--override-kv: {whole!r}: {text!r} is not of type {kind}") from None
