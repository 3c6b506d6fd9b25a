"""`python -m llamakit.server`: the server with llama-cpp-python's options and environment variables.

Options are the settings of `models.python_settings`, as `--name value`; variables are the same in upper case.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llamakit.errors import LlamakitError, UsageError

if TYPE_CHECKING:
    from llamakit.server.models.python_settings import PythonSettings


def main(args: Sequence[str], environment: Mapping[str, str]) -> int:
    """Returns the exit code."""
    if "-h" in args or "--help" in args:
        return show_help()
    try:
        return run(args, environment)
    except LlamakitError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + 2


def run(args: Sequence[str], environment: Mapping[str, str]) -> int:
    from llamakit.server.hosts import check_extra, is_private
    from llamakit.server.models import python_settings as p

    check_extra()
    settings = settings_of(of_command_line(args), of_environment(environment))
    models = [p.model_settings(model, settings.server) for model in settings.models]
    hosts = [settings.host]
    if not is_private(hosts) and not settings.server.get("api_key") and not settings.server.get("insecure"):
        raise UsageError(
            f"host {settings.host}: other machines could use the server; set --api_key, or --insecure true"
        )
    from llamakit.server.launch import serve, serve_many
    from llamakit.server.models.fetched import fetched
    from llamakit.server.operations.logs import configure_logs

    configure_logs()
    server_settings = p.server_settings(settings.server)
    if len(models) == 1:
        return serve(server_settings, fetched(models[0]), hosts, settings.port)
    known = {model.aliases[0]: model for model in models}
    if len(known) < len(models):
        raise UsageError("models: two of them have the same name; give them a model_alias each")
    return serve_many(server_settings, lambda: known, 1, hosts, settings.port, answers_to_all=True)


def settings_of(typed: Mapping[str, list[str]], surrounding: Mapping[str, list[str]]) -> PythonSettings:
    """What a command line and an environment say; with a file, it goes before the environment. Raises UsageError."""
    from llamakit.server.models import python_settings as p

    said = {**surrounding, **typed}
    path = said.pop("config_file", None)
    if path is None:
        model = {name: values for name, values in said.items() if name not in p.SERVER}
        return p.PythonSettings(server_said(said), (p.read_settings(flat(model), p.MODEL, "settings"),))
    others = {name: values for name, values in typed.items() if name not in (*p.SERVER, "config_file")}
    if known := [name for name in others if name in p.MODEL]:
        raise UsageError(f"--{known[0]}: what holds for a model is said in the file of --config_file")
    p.read_settings(others, p.SERVER, "settings")  # they are unknown
    settings = p.read_file(path[-1])
    return p.PythonSettings({**server_said(surrounding), **settings.server, **server_said(typed)}, settings.models)


def server_said(said: Mapping[str, list[str]]) -> dict[str, Any]:
    from llamakit.server.models.python_settings import SERVER, read_settings

    return read_settings(flat({name: values for name, values in said.items() if name in SERVER}), SERVER, "settings")


def flat(said: Mapping[str, list[str]]) -> dict[str, Any]:
    """The last value of what may be given once."""
    from llamakit.server.models.python_settings import is_list

    return {name: values if is_list(name) else values[-1] for name, values in said.items()}


def of_command_line(args: Sequence[str]) -> dict[str, list[str]]:
    """Values by the names of settings. Raises UsageError."""
    found: dict[str, list[str]] = {}
    rest = list(args)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--"):
            raise UsageError(f"{name!r} is no option; --help lists them")
        values = [value] if equals else []
        while not equals and rest and not rest[0].startswith("--"):
            values.append(rest.pop(0))
        if not values:
            raise UsageError(f"{name} needs a value")
        found.setdefault(name[2:].replace("-", "_"), []).extend(values)
    return found


def of_environment(environment: Mapping[str, str]) -> dict[str, list[str]]:
    from llamakit.server.models.python_settings import MODEL, SERVER

    names = {*MODEL, *SERVER, "config_file"}
    return {name: [environment[name.upper()]] for name in names if environment.get(name.upper())}


def show_help() -> int:
    from llamakit.server.models.python_settings import MODEL, SERVER

    print("Usage: python -m llamakit.server --model FILE [--NAME VALUE ...]\n\n  As llama-cpp-python's server.\n")
    for title, settings in (("Server", SERVER), ("Model", MODEL)):
        names = [name for name, setting in settings.items() if setting.has_effect]
        print(f"{title}: " + " ".join(f"--{name}" for name in names))
        ignored = [name for name, setting in settings.items() if not setting.has_effect]
        print("  accepted, without effect: " + " ".join(f"--{name}" for name in ignored) + "\n")
    print(
        "Vectors of texts are served unless --embedding is false. --draft_model prompt-lookup-decoding guesses from the"
    )
    print("text. --hf_model_repo_id ORG/REPO: --model is a file of it, or a pattern such as '*Q4_K_M.gguf'.")
    print("--config_file FILE: JSON or YAML with these settings, and those of several `models`; settings of the server")
    print("on the command line go before the file's, those of the environment after.")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:], os.environ))
