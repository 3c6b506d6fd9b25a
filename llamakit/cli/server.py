"""`llamakit server`: one server for clients of OpenAI, Anthropic, llama.cpp and TGI."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from llamakit.cli.console import Report, progress
from llamakit.cli.options import grammar as g
from llamakit.cli.options import shared as o
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.options.chat import ChatOptions, chat_template_of, template_variables
from llamakit.cli.options.context import ContextOptions, RopeOptions, check_tensors, context_params
from llamakit.cli.options.model import ModelOptions, hub_name, model_path
from llamakit.cli.options.prompt import read_text, unescape
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

if TYPE_CHECKING:
    from llamakit.server.operations.origins import Origins
    from llamakit.server.settings import ChatSettings, DraftSettings, ModelSettings, ServerSettings

N_QUEUE = 1024  # requests that may wait
POOLINGS = ("none", "mean", "cls", "last", "rank")


def server(
    *,
    source: ModelOptions,
    web: WebOptions,
    access: AccessOptions,
    serving: ServingOptions,
    generating: GenerateOptions,
    context: ContextOptions,
    n_predict: o.Predict = -1,
    keep: o.Keep = 0,
    context_shift: o.ContextShift = False,
    reverse_prompt: o.ReversePrompt = [],
    escape: o.Escape = True,
    special: o.Special = False,
    template: ChatOptions,
    sampling: SamplingOptions,
    grammar: g.GrammarText = None,
    grammar_file: g.GrammarFile = None,
    json_schema: g.JsonSchema = None,
    json_schema_file: g.JsonSchemaFile = None,
    regex: g.Regex = None,
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
    hosts = [host.strip() for host in web.host.split(",") if host.strip()]
    keys = read_keys(access)
    check_exposure(hosts, keys, web.insecure)
    spawned = None
    if several.models_dir is None and several.config_file is None:
        from llamakit.server.engine.spawn import spawn

        spawned = spawn()  # imports what it needs while this process does
    elif source.spec is not None:
        raise InvalidArgument("-m names one model, --models-dir and --config-file several: choose")
    sampling_params(sampling)  # what is wrong with it is said before a model is fetched
    most = serving.max_concurrent_requests, serving.max_input_tokens, serving.max_total_tokens
    limits = generate_limits(generating, *most)
    stop = tuple(unescape(text) if escape else text for text in reverse_prompt)
    common = replace(
        model_settings("", serving, context, rotation, adapting, template, sampling, drafting),
        arch_files=tuple(source.arch_file),
        n_predict=n_predict, n_keep=keep, context_shift=context_shift, stop=stop, show_special=special,
        rules=g.read_rules(grammar, grammar_file, json_schema, json_schema_file, regex),
    )  # fmt: skip
    if spawned is not None:
        with progress(not log.log_disable and log.verbosity >= INFO) as report:
            common = fetched(common, source, report)
            if context.check_tensors:
                check_tensors(common.path, report)
        spawned.load(common)
    from llamakit.server.launch import serve, serve_many
    from llamakit.server.operations.logs import configure_logs

    configure_logs(as_json=ending.json_output, level=level_of(log))
    settings = replace(server_settings(web, access, ending, hosts, keys), generate=limits)
    place = hosts, web.port, web.reuse_port
    if spawned is not None:
        code = serve(settings, common, *place, spawned)
    else:
        known = known_models(several, common)
        code = serve_many(settings, known, several.models_max, *place, loads_itself=several.models_autoload)
    if code:
        from typer import Exit

        raise Exit(code)


def fetched(settings: ModelSettings, source: ModelOptions, report: Report | None) -> ModelSettings:
    """With the files of the model and of its draft model, fetched where they are not here."""
    draft = settings.draft
    if draft is not None and draft.path is not None:
        draft = replace(draft, path=model_path(draft.path, report, source.offline, source.hf_token))
    return replace(settings, path=source.path(report), draft=draft)


def known_models(several: ModelsOptions, common: ModelSettings) -> Callable[[], Mapping[str, ModelSettings]]:
    """What finds the models of a folder, or those of a file of settings."""
    if several.models_dir is not None and several.config_file is not None:
        raise InvalidArgument("only one of --models-dir and --config-file can be given")
    if several.config_file is not None:
        from llamakit.server.models import python_settings as p

        models = [p.model_settings(model) for model in p.read_file(several.config_file).models]
        return lambda: {model.aliases[0]: model for model in models}
    from llamakit.server.models.folder import models_of

    folder = several.models_dir or ""
    if not models_of(folder, common):
        raise InvalidArgument(f"--models-dir {folder}: there is no GGUF file in it")
    return lambda: models_of(folder, common)


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


def model_settings(
    path: str,
    serving: ServingOptions,
    context: ContextOptions,
    rotation: RopeOptions,
    adapting: AdapterOptions,
    template: ChatOptions,
    sampling: SamplingOptions,
    drafting: DraftOptions,
) -> ModelSettings:
    from llamakit.server.settings import N_SLOTS, ModelSettings

    if serving.embd_normalize < -1:
        raise InvalidArgument(f"--embd-normalize: {serving.embd_normalize} is not -1, 0, 1, 2 or a larger power")
    if serving.pooling not in (None, *POOLINGS):
        raise InvalidArgument(f"--pooling: {serving.pooling!r} is not {', '.join(POOLINGS[:-1])} or {POOLINGS[-1]}")
    n_slots, n_most = serving.parallel if serving.parallel > 0 else N_SLOTS, serving.max_concurrent_requests
    return ModelSettings(
        path=path,
        aliases=tuple(sorted(set(listed(serving.alias)))),  # as llama-server has them
        tags=tuple(sorted(set(listed(serving.tags)))),
        opening=context_params(context, rotation, adapting),
        n_slots=n_slots,
        sleep_after=serving.sleep_idle_seconds if serving.sleep_idle_seconds > 0 else None,
        n_queue_max=N_QUEUE if n_most is None else max(0, n_most - n_slots),
        n_prefill_beside=serving.max_batch_prefill_tokens,
        embeddings=serving.embedding,
        reranking=serving.reranking,
        n_ctx_request=n_ctx_request(serving, n_slots, context),
        n_input_max=serving.max_input_tokens,
        draft=draft_settings(drafting),
        pooling="rank" if serving.reranking and serving.pooling is None else serving.pooling,
        chat=chat_settings(template),
        sampling=said(sampling),
        cache_prompt=serving.cache_prompt,
        embd_normalize=serving.embd_normalize,
        sse_ping_interval=serving.sse_ping_interval,
        slot_save_path=serving.slot_save_path,
        spm_infill=serving.spm_infill,
    )


def n_ctx_request(serving: ServingOptions, n_slots: int, context: ContextOptions) -> int | None:
    """Most tokens of one request, prompt and answer; None for all of the context."""
    limits = [n for n in (serving.kv_unified_per_slot, serving.max_total_tokens) if n is not None]
    if not serving.kv_unified:
        if not context.ctx_size:
            raise InvalidArgument("--no-kv-unified divides the context: it needs -c")
        limits.append(context.ctx_size // n_slots)
    if any(n < 1 for n in limits):
        raise InvalidArgument(f"a request needs at least one token, and would have {min(limits)}")
    return min(limits, default=None)


def draft_settings(drafting: DraftOptions) -> DraftSettings | None:
    from llamakit.server.settings import DraftSettings

    kinds = set(drafting.spec_type.split(",")) - {"none", ""}
    if unknown := sorted(kind for kind in kinds if not kind.startswith(("draft-simple", "ngram-"))):
        raise InvalidArgument(f"--spec-type: {unknown[0]!r} is not none, draft-simple or one of ngram-...")
    if drafting.n_max < 1:
        raise InvalidArgument(f"--draft-max: {drafting.n_max} is less than 1")
    path = drafting.model_draft or hub_name(drafting.hf_repo_draft)
    if path is not None:
        return DraftSettings(path, drafting.n_max)
    if "draft-simple" in kinds:
        raise InvalidArgument("--spec-type draft-simple needs a draft model: -md")
    return DraftSettings(None, drafting.n_max) if kinds or drafting.spec_default else None


def chat_settings(template: ChatOptions) -> ChatSettings:
    from llamakit.core.chat.output.format import ReasoningFormat
    from llamakit.server.settings import ChatSettings

    return ChatSettings(
        template=chat_template_of(template),
        use_jinja=template.jinja,
        variables=template_variables(template),
        reasoning=ReasoningFormat(template.reasoning_format),
        thinks=None if template.reasoning == "auto" else template.reasoning == "on",
        budget=template.reasoning_budget,
        budget_message=template.reasoning_budget_message or "",
        prefills=template.prefill_assistant,
        is_parsed=not template.skip_chat_parsing,
    )


def server_settings(
    web: WebOptions, access: AccessOptions, ending: EndOptions, hosts: list[str], keys: tuple[str, ...]
) -> ServerSettings:
    from llamakit.server.operations.limits import Limits
    from llamakit.server.settings import ServerSettings

    if (web.ssl_key_file is None) != (web.ssl_cert_file is None):
        raise InvalidArgument("HTTPS needs both --ssl-key-file and --ssl-cert-file")
    longest = float(max(1, web.timeout))
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
        grace=max(0.0, ending.grace),
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
        hosts=None if is_any or any(map(is_path, hosts)) else frozenset(names),
        allowed=listed(access.cors_origins),
        methods=access.cors_methods,
        headers=access.cors_headers,
        has_credentials=access.cors_credentials,
    )


def said(sampling: SamplingOptions) -> dict[str, Any]:
    """Fields of SamplingParams that the command line sets."""
    from llamakit.core.sampling.params import SamplingParams

    usual, params = SamplingParams(), sampling_params(sampling)
    names = {f.name for f in fields(sampling) if getattr(sampling, f.name) not in (None, [])}
    if names & {"samplers", "sampler_seq", "tfs_z"}:
        names |= {"samplers"}
    return {f.name: getattr(params, f.name) for f in fields(usual) if f.name in names}


def listed(texts: list[str]) -> tuple[str, ...]:
    """The parts of comma lists."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def level_of(options: LogOptions) -> int:
    """Of Python's logging."""
    if options.log_disable:
        return logging.ERROR
    if options.verbose:
        return logging.DEBUG
    return {0: logging.CRITICAL, 1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO}.get(options.verbosity, 10)
