"""The `llamakit` command: the list of commands, and what becomes of an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from llamakit import __version__
from llamakit.errors import LlamakitError

EXIT_INTERRUPTED = 128 + 2  # as a shell reports SIGINT
EXIT_BROKEN_PIPE = 128 + 13  # and SIGPIPE


@dataclass(frozen=True, slots=True)
class Command:
    """A command, imported when it runs: `function` of `module`."""

    module: str
    function: str
    help: str


@dataclass(frozen=True, slots=True)
class Group:
    """Commands below a name of their own, such as `gguf dump`."""

    help: str
    commands: Mapping[str, Command | Group]


COMMANDS: Mapping[str, Command | Group] = {
    "run": Command("llamakit.cli.run", "run", "Complete a prompt with a model."),
    "chat": Command("llamakit.cli.chat.chat", "chat", "Talk with a model."),
    "server": Command("llamakit.cli.server", "server", "Serve a model over HTTP."),
    "bench": Command("llamakit.cli.bench", "bench", "Measure prompt processing and text generation."),
    "embed": Command("llamakit.cli.embed", "embed", "Turn texts into vectors, and compare them."),
    "tokenize": Command("llamakit.cli.tokenize", "tokenize", "Show the tokens of a text."),
    "perplexity": Command("llamakit.cli.perplexity", "perplexity", "Measure a model on a text, or on tasks."),
    "eval": Command("llamakit.cli.evaluate", "evaluate", "Measure a model on tasks with known answers."),
    "jeopardy": Command("llamakit.cli.jeopardy", "jeopardy", "Let a model answer clues."),
    "quantize": Command("llamakit.cli.quantize", "quantize", "Write a model anew in fewer bits."),
    "convert-hf": Command("llamakit.cli.convert_hf", "convert_hf", "Write a Hugging Face folder as a GGUF file."),
    "convert-lora": Command("llamakit.cli.convert_lora", "convert_lora", "Write a PEFT adapter as a GGUF file."),
    "export-lora": Command("llamakit.cli.export_lora", "export_lora", "Merge adapters into a model."),
    "cvector": Command("llamakit.cli.cvector", "cvector", "Make a control vector of pairs of prompts."),
    "grammar": Command("llamakit.cli.grammar", "grammar", "Check a grammar, and texts against it."),
    "pull": Command("llamakit.cli.pull", "pull", "Fetch a model into the cache."),
    "models": Command("llamakit.cli.models", "models", "List, show and remove the models that were fetched."),
    "trace": Command("llamakit.cli.trace", "trace", "Look into a model while it computes a prompt."),
    "diff": Command("llamakit.cli.diff", "diff", "Find where two models begin to differ."),
    "imatrix": Command("llamakit.cli.imatrix", "imatrix", "Measure which columns of the weights matter."),
    "gguf-split": Command("llamakit.cli.gguf.split", "gguf_split", "Split a model into shards, or merge shards."),
    "gguf": Group(
        "Look into GGUF files.",
        {
            "dump": Command("llamakit.cli.gguf.dump", "dump", "Show a file's metadata and tensors."),
            "set": Command("llamakit.cli.gguf.set", "set_", "Change metadata, in the file or in a copy."),
            "hash": Command("llamakit.cli.gguf.hash", "hash_", "Hash the tensors, or check their hashes."),
            "verify": Command("llamakit.cli.gguf.verify", "verify", "Look for damage in a file."),
            "convert-endian": Command(
                "llamakit.cli.gguf.convert_endian", "convert_endian", "Turn a file to the other byte order."
            ),
        },
    ),
}
TOP = Group("llama.cpp's toolbox in readable Python.", COMMANDS)


def run(args: Sequence[str]) -> int:
    """Run one command line; returns the exit code and never raises for what a user can cause."""
    verbose = "-v" in args or "--verbose" in args
    try:
        code = dispatch("llamakit", TOP, list(args))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except LlamakitError as error:
        if verbose:
            show_traceback()
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader is gone: leave nothing for the interpreter to flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_BROKEN_PIPE
    except Exception as error:
        if verbose:
            show_traceback()
        what = f"{type(error).__name__}: {error}"
        complain(f"{what} - this is a fault of llamakit; please report it with what `-v` prints")
        return 1


def dispatch(path: str, group: Group, args: list[str]) -> int:
    """Run the command that `args` names below `group`, called `path` so far; returns the exit code."""
    name = args[0] if args else "--help"
    if name in group.commands:
        entry, path = group.commands[name], f"{path} {name}"
        return dispatch(path, entry, args[1:]) if isinstance(entry, Group) else run_command(path, entry, args[1:])
    if name in ("-h", "--help", "--usage"):
        show_commands(path, group)
        return 0 if args else 1
    if name == "--version":
        return show_version()
    complain(f"invalid argument: {name} (`{path} --help` lists the commands)")
    return 1


def run_command(path: str, command: Command, args: list[str]) -> int:
    if args[:1] == ["--version"]:
        return show_version()
    from llamakit.cli.parsing.call import read_and_call
    from llamakit.cli.parsing.reader import Answered

    try:
        read_and_call(path, getattr(import_module(command.module), command.function), args)
    except Answered as answer:
        print(answer)
    except Exception as error:
        typer = sys.modules.get("typer")  # who raises its Exit has imported it
        if typer is not None and isinstance(error, typer.Exit):
            return int(error.exit_code)
        raise
    return 0


def show_version() -> int:
    print(f"llamakit {__version__}")
    return 0


def show_commands(path: str, group: Group) -> None:
    print(f"Usage: {path} COMMAND [OPTIONS]\n\n  {group.help}\n\nCommands:")
    width = max(map(len, group.commands), default=0)
    for name, entry in group.commands.items():
        print(f"  {name:<{width}} {entry.help}")
    print(
        f"\n`{path} COMMAND --help` lists a command's options" + (", --version the version." if group is TOP else ".")
    )


def complain(message: str) -> None:
    """One line on stderr, whatever the message holds."""
    print("error: " + " ".join(message.split()), file=sys.stderr)


def show_traceback() -> None:
    import traceback

    traceback.print_exc()
