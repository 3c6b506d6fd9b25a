"""llama.cpp's rules for reading a command line, over options that `declared.py` or Typer declares.

Typer writes the help; reading is done here because llama.cpp's rules are its own (short options of several letters, `_`
for `-`, `LLAMA_ARG_*` variables, optional values, options that mean nothing on a CPU), and because Typer's own
conversion imports pydantic, which costs 0.1 s at every start.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, get_args, get_origin, get_type_hints

from llamakit.cli.compat import NO_EFFECT, OLD_VARIABLES, SECOND_WORD, WITHOUT_EFFECT, NoEffect, Takes
from llamakit.cli.shorthands import ANSWERS, REFUSED, STANDS_FOR
from llamakit.errors import LlamakitError

TRUTHY = frozenset({"on", "enabled", "true", "1"})
FALSEY = frozenset({"off", "disabled", "false", "0"})
PREFIX = "LLAMA_ARG_"
HELP = ("-h", "--help", "--usage")
Function = TypeVar("Function", bound=Callable[..., None])
WORDS = TRUTHY | FALSEY | {"auto", "-1"}


class InvalidArgument(LlamakitError):
    """A command line that cannot be read; llama.cpp's tools exit 1 for it."""

    exit_code = 1


class HelpWanted(Exception):
    """The command line asks for help."""


class Answered(Exception):
    """The command line asks for a line of text alone: the exception's."""


class Command(Protocol):
    """What is to be read: the command of Typer, or `declared.Declaration`."""

    @property
    def params(self) -> Sequence[Any]: ...
    @property
    def callback(self) -> Callable[..., Any] | None: ...


@dataclass(frozen=True, slots=True)
class OptionalWord:
    """Marks an option whose on/off/auto may be left out: a bare switch in 2024, an option with a value later."""

    bare: str = "on"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks options that say the same thing, `what`, in different ways: of those given, the last one counts."""

    what: str


def passes_over(table: Mapping[str, NoEffect]) -> Callable[[Function], Function]:
    """Let a command take options of other commands, which change nothing in this one."""

    def mark(function: Function) -> Function:
        function.__dict__["passed_over"] = table
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Spelling:
    """One spelling of one option, and what it does to the parameter `dest`."""

    dest: str
    convert: Callable[[str], Any] | None  # None: a switch, which takes no value
    constant: Any = None  # what a switch, or a word left out, stores
    many: bool = False  # a list: repeats accumulate
    word_optional: bool = False
    one_of: str | None = None  # what it says, where other options say the same


def read(command: Command, args: Sequence[str]) -> dict[str, Any]:
    """The parameters of `command`: its defaults, then the environment, then `args`; the later wins.

    Raises InvalidArgument on an unknown option, a missing or malformed value, or a superfluous argument.
    """
    spellings = spellings_of(command)
    no_effect = {**NO_EFFECT, **getattr(command.callback, "passed_over", {})}
    values = {p.name: default_of(p) for p in command.params if p.name and p.expose_value}
    defaults = dict(values)
    from_environment = read_environment(command, spellings, values)
    positional: list[str] = []
    seen: set[str] = set()
    sources: dict[str, tuple[str, str]] = {}  # for each `one_of`, what it was said with: a parameter and its spelling
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg == "--":
            positional += rest
            break
        if not arg.startswith("-") or arg == "-":
            positional.append(arg)
            continue
        if arg in HELP:
            raise HelpWanted
        name, value = split_value(arg)
        spelling = spellings.get(name)
        if spelling is None and value is None and stands_for_others(name, spellings):
            rest[:0] = STANDS_FOR[name]
            continue
        if spelling is None:
            skip_no_effect(no_effect, name, value, rest)
            continue
        if spelling.dest in from_environment:
            warn(f"{from_environment.pop(spelling.dest)} is set, but {name} on the command line overrides it")
        if spelling.dest in seen and not spelling.many:
            warn(f"{name} is given more than once; the last one counts")
        store(values, spelling, take_value(spelling, name, value, rest), is_first=spelling.dest not in seen)
        seen.add(spelling.dest)
        if spelling.one_of is not None:
            dest, before = sources.get(spelling.one_of, (spelling.dest, name))
            if dest != spelling.dest:
                warn(f"{name} takes the place of {before}, which came before it")
                values[dest] = defaults[dest]
            sources[spelling.one_of] = (spelling.dest, name)
    place_arguments(command, values, positional)
    return values


def default_of(param: Any) -> Any:
    return list(param.default or []) if getattr(param, "multiple", False) else param.default


def spellings_of(command: Command) -> dict[str, Spelling]:
    assert command.callback is not None
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    table: dict[str, Spelling] = {}
    for param in command.params:
        if param.param_type_name != "option" or not param.name or not param.expose_value:
            continue
        kind, many, word, one_of = value_kind(hints[param.name])
        for name in param.opts:
            if word:
                table[name] = Spelling(param.name, on_off_auto, word.bare, word_optional=True)
            else:
                table[name] = Spelling(param.name, None if kind is bool else converter(kind), True, many, one_of=one_of)
        for name in param.secondary_opts:
            table[name] = Spelling(param.name, None, False)
    return table


def value_kind(hint: Any) -> tuple[type, bool, OptionalWord | None, str | None]:
    """What one value of a parameter is, whether it is a list of them, its OptionalWord mark, and what it is OneOf."""
    many, word, one_of = False, None, None
    while parts := get_args(hint):  # Python 3.10 puts Optional around Annotated where the default is None
        if get_origin(hint) is Annotated:
            word = next((mark for mark in parts if isinstance(mark, OptionalWord)), word)
            one_of = next((mark.what for mark in parts if isinstance(mark, OneOf)), one_of)
        many = many or get_origin(hint) is list
        hint = next(part for part in parts if part is not type(None))
    return hint, many, word, one_of


def converter(kind: type) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            what = {int: "a whole number", float: "a number"}.get(kind, f"a {kind.__name__}")
            raise InvalidArgument(f"{text!r} is not {what}") from None

    return convert


def on_off_auto(text: str) -> str:
    if text not in WORDS:
        raise InvalidArgument(f"{text!r} is not on, off or auto")
    return "on" if text in TRUTHY else "off" if text in FALSEY else "auto"


def split_value(arg: str) -> tuple[str, str | None]:
    """`--long_name=value` -> (`--long-name`, `value`); short names keep their letters."""
    name, equals, value = arg.partition("=")
    if name.startswith("--"):
        name = name.replace("_", "-")
    return name, value if equals else None


def take_value(spelling: Spelling, name: str, value: str | None, rest: list[str]) -> Any:
    if spelling.convert is None:
        if value is not None:
            raise InvalidArgument(f"{name} takes no value")
        return spelling.constant
    if value is None:
        if spelling.word_optional and (not rest or rest[0] not in WORDS):
            return spelling.constant
        if not rest:
            raise InvalidArgument(f"{name} needs a value")
        value = rest.pop(0)
        _, colon, ending = value.rpartition(":")
        if name in SECOND_WORD and rest and is_number(rest[0]) and not (colon and is_number(ending)):
            value = f"{value}:{rest.pop(0)}"
    try:
        return spelling.convert(value)
    except InvalidArgument as error:
        raise InvalidArgument(f"{name}: {error}") from None


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def store(values: dict[str, Any], spelling: Spelling, value: Any, is_first: bool) -> None:
    if not spelling.many:
        values[spelling.dest] = value
    elif is_first:
        values[spelling.dest] = [value]
    else:
        values[spelling.dest].append(value)


def read_environment(command: Command, spellings: dict[str, Spelling], values: dict[str, Any]) -> dict[str, str]:
    """Put what `LLAMA_ARG_*` variables say into `values`; returns which variable set which parameter."""
    origin: dict[str, str] = {}
    for param in command.params:
        if not param.envvar or not param.name:
            continue
        variable = as_set(param.envvar if isinstance(param.envvar, str) else param.envvar[0])
        spelling = spellings[param.opts[0]]
        text = os.environ.get(variable)
        negative = variable.replace(PREFIX, f"{PREFIX}NO_", 1)
        if param.secondary_opts and negative in os.environ:
            values[param.name], origin[param.name] = False, negative
        elif not text:
            continue
        elif spelling.convert is not None:
            value = take_value(spelling, variable, text, [])
            values[param.name], origin[param.name] = [value] if spelling.many else value, variable
        elif text in TRUTHY or (text in FALSEY and param.secondary_opts):
            values[param.name], origin[param.name] = text in TRUTHY, variable
    for name in WITHOUT_EFFECT:
        if os.environ.get(PREFIX + name) not in {None, "", *FALSEY}:
            warn(f"{PREFIX}{name} has no effect in llamakit")
    return origin


def as_set(variable: str) -> str:
    """A variable by its name, or by the one that it had before where only that is set."""
    older = OLD_VARIABLES.get(variable.removeprefix(PREFIX))
    if older is None or {variable, variable.replace(PREFIX, f"{PREFIX}NO_", 1)} & os.environ.keys():
        return variable
    return PREFIX + older


def stands_for_others(name: str, spellings: Container[str]) -> bool:
    """Whether an option is one in place of others, all of which the command has."""
    return name in STANDS_FOR and all(word in spellings for word in STANDS_FOR[name] if word.startswith("-"))


def skip_no_effect(options: Mapping[str, NoEffect], name: str, value: str | None, rest: list[str]) -> None:
    """Pass over an option, one of `options`, that changes nothing here, or say that there is no such option.

    Raises Answered where it asks for a text.
    """
    if name in ANSWERS:
        raise Answered(ANSWERS[name])
    if name in REFUSED:
        raise InvalidArgument(f"{name}: {REFUSED[name]}")
    known = options.get(name)
    if known is None:
        raise InvalidArgument(f"invalid argument: {name}")
    has_value = known.takes is Takes.VALUE or (
        known.takes is Takes.WORD and rest and WORDS.issuperset(rest[0].split(","))
    )
    if value is None and has_value:
        del rest[:1]
    if known.warns:
        warn(f"{name} has no effect in llamakit")


def place_arguments(command: Command, values: dict[str, Any], positional: list[str]) -> None:
    for param in command.params:
        if param.param_type_name != "argument" or not param.name:
            continue
        if positional:
            values[param.name] = positional.pop(0)
        elif param.required:
            raise InvalidArgument(f"the argument {getattr(param, 'metavar', None) or param.name.upper()} is missing")
    if positional:
        raise InvalidArgument(f"invalid argument: {positional[0]}")


def warn(message: str) -> None:
    print(f"warn: {message}", file=sys.stderr)
