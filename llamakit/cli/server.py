"""`llamakit server`: one server for clients of OpenAI, Anthropic, llama.cpp and TGI."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from llamakit.cli.console import Report, progress
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.options.chat import ChatOptions
from llamakit.cli.options.context import ContextOptions, RopeOptions, check_tensors
from llamakit.cli.options.model import ModelOptions, model_path
from llamakit.cli.options.prompt import read_text
from llamakit.cli.options.sampling import SamplingOptions, sampling_params
from llamakit.cli.options.server import (
    AccessOptions,
    DraftOptions,
    EndOptions,
    ModelsOptions,
    ServingOptions,
    WebOptions,
)
from llamakit.cli.options.tgi import GenerateOptions, generate_limits
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.cli.run_log import INFO, LogOptions
from llamakit.cli.server_checks import check_end, check_serving, check_web
from llamakit.cli.server_log import server_log
from llamakit.cli.server_model import AnswerOptions, listed, model_settings
from llamakit.cli.server_several import below, check_several, keys_of, known_models, read_config

if TYPE_CHECKING:
    from llamakit.server.operations.origins import Origins
    from llamakit.server.settings import ModelSettings, ServerSettings

HOST, PORT = "127.0.0.1", 8080


def server(
    *,
    source: ModelOptions,
    web: WebOptions,
    access: AccessOptions,
    serving: ServingOptions,
    generating: GenerateOptions,
    context: ContextOptions,
    answering: AnswerOptions,
    template: ChatOptions,
    sampling: SamplingOptions,
    drafting: DraftOptions,
    several: ModelsOptions,
    rotation: RopeOptions,
    adapting: AdapterOptions,
    ending: EndOptions,
    log: LogOptions,
) -> None:
    """Serve a model over HTTP: APIs of OpenAI, Anthropic, llama-server and TGI, and a web page at /."""
    from llamakit.server.hosts import check_extra

    check_extra()
    with server_log(log, ending.json_output):
        config = None if several.config_file is None else read_config(several.config_file)
        keys = read_keys(access)
        if config is not None:
            web, keys = below(web, config), keys or keys_of(config)
        hosts = [host.strip() for host in (HOST if web.host is None else web.host).split(",") if host.strip()]
        check_exposure(hosts, keys, web.insecure)
        check_web(web)
        check_serving(serving, context)
        check_end(ending)
        spawned = None
        if not several.sources:
            from llamakit.server.engine.spawn import spawn

            spawned = spawn()  # imports what it needs while this process does
        else:
            check_several(several, source, serving, context)
        sampling_params(sampling)  # what is wrong with it is said before a model is fetched
        limits = generate_limits(generating, serving.max_input_tokens, serving.max_total_tokens)
        common: ModelSettings = model_settings(
            source=source, serving=serving, context=context, answering=answering, template=template, sampling=sampling,
            drafting=drafting, rotation=rotation, adapting=adapting,
        )  # fmt: skip
        if spawned is not None:
            with progress(not log.log_disable and log.verbosity >= INFO) as report:
                common = fetched(common, source, report)
                if context.check_tensors:
                    check_tensors(common.path, report)
            spawned.load(common)
        from llamakit.server.launch import serve, serve_many

        settings = replace(server_settings(web, access, ending, hosts, keys), generate=limits)
        place = hosts, PORT if web.port is None else web.port, web.reuse_port
        if spawned is not None:
            code = serve(settings, common, *place, spawned)
        else:
            from llamakit.server.models import fetched as hub

            known = known_models(several, common, config)
            fetch = partial(hub.fetched, offline=source.offline, token=source.hf_token)
            code = serve_many(
                settings, known, max(0, several.models_max), *place, loads_itself=several.models_autoload,
                answers_to_all=config is not None, fetch=fetch,
            )  # fmt: skip
    if code:
        from typer import Exit

        raise Exit(code)


def fetched(settings: ModelSettings, source: ModelOptions, report: Report | None) -> ModelSettings:
    """With the files of the model and of its draft model, fetched where they are not here."""
    draft = settings.draft
    if draft is not None and draft.path is not None:
        draft = replace(draft, path=model_path(draft.path, report, source.offline, source.hf_token))
    return replace(settings, path=source.path(report), draft=draft)


def read_keys(access: AccessOptions) -> tuple[str, ...]:
    """The keys of the command line, and those of a file."""
    keys = [key.strip() for text in access.api_key for key in text.split(",")]
    if access.api_key_file is not None:
        lines = read_text(access.api_key_file).splitlines()
        keys += [line.strip() for line in lines if not line.lstrip().startswith("#")]
        if not any(keys):
            raise InvalidArgument(f"--api-key-file {access.api_key_file}: there is no key in it")
    return tuple(filter(None, keys))


def check_exposure(hosts: list[str], keys: tuple[str, ...], is_insecure: bool) -> None:
    """Raises InvalidArgument where other machines could ask without a key."""
    from llamakit.server.hosts import is_private

    if not hosts:
        raise InvalidArgument("--host: there is no address in it")
    if not keys and not is_insecure and not is_private(hosts):
        raise InvalidArgument(
            f"--host {','.join(hosts)}: anybody who reaches this machine could use the server; set --api-key, or say "
            "--insecure if that is meant"
        )


def server_settings(
    web: WebOptions, access: AccessOptions, ending: EndOptions, hosts: list[str], keys: tuple[str, ...]
) -> ServerSettings:
    from llamakit.server.operations.limits import Limits
    from llamakit.server.settings import ServerSettings

    longest = float(web.timeout)
    usual = Limits()
    return ServerSettings(
        has_slots=web.slots,
        has_props=web.props,
        has_metrics=web.metrics,
        has_web_page=web.ui,
        web_folder=web.path,
        api_prefix=web.api_prefix,
        api_keys=keys,
        origins=origins(access, hosts, has_keys=bool(keys)),
        limits=replace(
            usual,
            body=web.payload_limit,
            header_time=min(usual.header_time, longest),
            body_time=min(usual.body_time, longest),
            write_time=min(usual.write_time, longest),
        ),
        grace=ending.grace,
        ssl_key_file=web.ssl_key_file,
        ssl_cert_file=web.ssl_cert_file,
        otlp_endpoint=ending.otlp_endpoint,
        otlp_service_name=ending.otlp_service_name,
    )


def origins(access: AccessOptions, hosts: list[str], has_keys: bool) -> Origins:
    """Which names and pages are ours: on a loopback address, no other name than its own."""
    from llamakit.server.hosts import is_path, is_private
    from llamakit.server.operations.origins import ANY, LOOPBACK, Origins

    named = listed(access.allowed_hosts)
    names = LOOPBACK | {host.strip("[]").lower() for host in (*hosts, *named) if not is_path(host)}
    is_any = ANY in named or (not named and not is_private(hosts))  # who may connect from elsewhere has names for us
    return Origins(
        hosts=None if is_any else frozenset(names),
        allowed=listed(access.cors_origins),
        methods=access.cors_methods,
        headers=access.cors_headers,
        has_credentials=access.cors_credentials,
    )
