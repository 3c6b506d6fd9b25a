"""Models of an INI file, as llama-server's router reads it (--models-preset).

    [*]
    ctx-size = 4096

    [small]
    model = small.gguf
    jinja = false

A key is an option, long or short and without its hyphens, or a variable (LLAMA_ARG_CTX_SIZE).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from llamakit.cli.compat import NO_EFFECT, Takes
from llamakit.cli.options.prompt import read_text
from llamakit.cli.parsing.declared import Declaration, declaration
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import FALSEY, TRUTHY, InvalidArgument, default_of, read, spellings_of, warn
from llamakit.cli.server_model import model_settings

if TYPE_CHECKING:
    from llamakit.server.settings import ModelSettings

TOP, EVERY = "\0", "*"  # lines before all sections, as `version = 1`; the section that holds for all models
LOAD_ON_STARTUP = "load-on-startup"
OF_THE_ROUTER = {"version", LOAD_ON_STARTUP}  # no options
WITHOUT_EFFECT = {"stop-timeout", "dedup-cache-models"}  # an engine that must go is ended at once


class Ini(ConfigParser):
    def optionxform(self, optionstr: str) -> str:
        """Keys as they are: -C is another option than -c."""
        return optionstr


def models_of_preset(path: str, common: ModelSettings) -> dict[str, ModelSettings]:
    """Settings by names, in the order of the file. What `common` sets goes before a section, that before [*].

    Raises InvalidArgument for a file that is wrong, UsageError for one that cannot be read.
    """
    ini = Ini(interpolation=None, delimiters="=", default_section=TOP, comment_prefixes=(";", "#"))
    try:
        ini.read_string(f"[{TOP}]\n{read_text(path)}")
    except IniError as error:
        raise InvalidArgument(f"--models-preset {path}: {error}") from None
    usual, found = settings_of([]), {}
    for name, section in ini.items():
        if name in (TOP, EVERY):
            continue
        try:
            every = ini[EVERY] if EVERY in ini else {}
            settings = settings_of(command_line(every, section))
            starts = is_on(LOAD_ON_STARTUP, {**every, **section}.get(LOAD_ON_STARTUP, "off"))
            if not settings.path:
                raise InvalidArgument("names no model: model, hf-repo or model-url")
        except InvalidArgument as error:
            raise InvalidArgument(f"--models-preset {path}: [{name}]: {error}") from None
        settings = merged(common, settings, usual)
        found[name] = replace(settings, aliases=(name, *settings.aliases), loads_at_start=starts)
    return found


def settings_of(words: list[str]) -> ModelSettings:
    """What options, as a command line has them, say of a model."""
    settings: ModelSettings = flatten(model_settings)(**read(command(), words))
    return settings


def usual_settings() -> ModelSettings:
    """What holds where neither options nor variables say anything."""
    settings: ModelSettings = flatten(model_settings)(**{param.name: default_of(param) for param in command().params})
    return settings


@cache
def command() -> Declaration:
    found = declaration(flatten(model_settings))
    assert found is not None, "all of its parameters are options"
    return found


@cache
def takes_value() -> Mapping[str, bool]:
    """Whether an option takes one, by its names."""
    idle = {name: option.takes is not Takes.NOTHING for name, option in NO_EFFECT.items()}
    return idle | {name: spelling.convert is not None for name, spelling in spellings_of(command()).items()}


def command_line(*sections: Mapping[str, str]) -> list[str]:
    """Sections as one: of an option that several have, under whatever name, the last one's value."""
    spellings, chosen = spellings_of(command()), dict[str, tuple[str, str]]()
    for section in sections:
        for key, value in section.items():
            spelling = spellings.get(name_of(key))
            chosen[key if spelling is None else spelling.dest] = key, value
    return [word for item in chosen.values() for word in words(*item)]


def words(key: str, value: str) -> Iterator[str]:
    """A key and its value as words of a command line; none for a switch that is off."""
    if key in WITHOUT_EFFECT:
        warn_once(f"{key} has no effect in llamakit")
    if key in OF_THE_ROUTER | WITHOUT_EFFECT:
        return
    name = name_of(key)
    if takes_value().get(name, True):  # an unknown one is refused where it is read
        yield from (name, value)
    elif is_on(key, value):
        yield name
    elif (opposite := name.replace("--", "--no-", 1)) in takes_value():
        yield opposite


def is_on(key: str, value: str) -> bool:
    if value.lower() not in TRUTHY | FALSEY:
        raise InvalidArgument(f"{key} is on or off, not {value!r}")
    return value.lower() in TRUTHY


@cache
def warn_once(message: str) -> None:
    """The file is read whenever the models are looked for again."""
    warn(message)


def name_of(key: str) -> str:
    """The option that a key is."""
    variables = {param.envvar: param.opts[0] for param in command().params if param.envvar}
    if key in variables:
        return variables[key]
    long = f"--{key.replace('_', '-')}"
    return f"-{key}" if long not in takes_value() and f"-{key}" in takes_value() else long


def merged(first: Any, second: Any, usual: Any) -> Any:
    """`first` where it says something else than `usual`, else `second`: part by part."""
    if is_dataclass(usual) and not isinstance(usual, type) and type(first) is type(second) is type(usual):
        parts = [field.name for field in fields(usual)]
        return replace(
            usual, **{name: merged(*(getattr(one, name) for one in (first, second, usual))) for name in parts}
        )
    if isinstance(usual, Mapping):
        return {**second, **{name: value for name, value in first.items() if name not in usual or usual[name] != value}}
    return first if first != usual else second
