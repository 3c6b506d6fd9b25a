"""Several models for one server: a folder of them (--models-dir), sections of an INI file (--models-preset), or a file
of llama-cpp-python's settings (--config-file)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from llamakit.cli.options.context import ContextOptions
from llamakit.cli.options.model import ModelOptions
from llamakit.cli.options.server import ModelsOptions, ServingOptions, WebOptions
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.server.models.python_settings import PythonSettings
    from llamakit.server.settings import ModelSettings

Known = Callable[[], Mapping[str, "ModelSettings"]]


def check_several(
    several: ModelsOptions, source: ModelOptions, serving: ServingOptions, context: ContextOptions
) -> None:
    """Raises InvalidArgument for what says something of one model where there are several."""
    first, *others = several.sources
    if others:
        raise InvalidArgument(f"only one of {' and '.join(several.sources)} can be given")
    if source.spec is not None:
        raise InvalidArgument(f"-m names one model, {first} several: choose")
    if serving.alias:
        raise InvalidArgument(f"--alias names one model, {first} several: they have names there")
    if context.check_tensors:
        raise InvalidArgument(f"--check-tensors looks at the model of -m, not at those of {first}")


def known_models(several: ModelsOptions, common: ModelSettings, config: PythonSettings | None) -> Known:
    """What finds the models, each with what `common` says of all of them. Raises what is wrong with them."""
    if config is not None:
        models = models_of_config(config, common)
        return lambda: models
    if several.models_preset is not None:
        from llamakit.cli.server_presets import models_of_preset

        preset = several.models_preset
        starting = [name for name, model in models_of_preset(preset, common).items() if model.loads_at_start]
        if several.models_max > 0 and len(starting) > several.models_max:
            raise InvalidArgument(
                f"--models-preset {preset}: {len(starting)} models have load-on-startup, "
                f"--models-max lets {several.models_max} be loaded"
            )
        return lambda: models_of_preset(preset, common)
    from llamakit.server.models.folder import models_of

    folder = several.models_dir or ""
    if not models_of(folder, common):
        raise InvalidArgument(f"--models-dir {folder}: there is no GGUF file in it")
    return lambda: models_of(folder, common)


def read_config(path: str) -> PythonSettings:
    """Raises UsageError for a file that cannot be read, or holds what is not known."""
    from llamakit.server.models.python_settings import read_file

    return read_file(path)


def models_of_config(config: PythonSettings, common: ModelSettings) -> dict[str, ModelSettings]:
    """The file's models by their names; what `common` sets goes before what the file says.

    Raises UsageError, InvalidArgument where two have one name.
    """
    from llamakit.cli.server_presets import merged, usual_settings
    from llamakit.server.models.python_settings import model_settings

    usual, found = usual_settings(), dict[str, "ModelSettings"]()
    for said in config.models:
        settings = model_settings(said, config.server)
        name = settings.aliases[0]
        if name in found:
            raise InvalidArgument(f"--config-file: two models are called {name!r}; give them a model_alias each")
        found[name] = merged(common, settings, usual)
    return found


def below(web: WebOptions, config: PythonSettings) -> WebOptions:
    """The command line's options, and the file's settings where it says nothing."""
    said = config.server
    return replace(
        web,
        host=said.get("host") if web.host is None else web.host,
        port=said.get("port") if web.port is None else web.port,
        insecure=web.insecure or said.get("insecure", False),
        ssl_key_file=web.ssl_key_file or said.get("ssl_keyfile"),
        ssl_cert_file=web.ssl_cert_file or said.get("ssl_certfile"),
        api_prefix=web.api_prefix or said.get("root_path", "").rstrip("/"),
    )


def keys_of(config: PythonSettings) -> tuple[str, ...]:
    from llamakit.server.models.python_settings import api_keys

    return api_keys(config.server)
