"""Options of `llamakit server` alone, named as llama-server's and TGI's: groups (see `parsing/groups.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from llamakit.cli.options.shared import option
from llamakit.cli.parsing.declared import Declared

WEB = "Address and web page"
SERVING = "Serving"
DRAFTING = "Guessing ahead"
MODELS = "Several models"
ENDING = "Start and end"
SPEC_TYPES = ("none", "draft-simple", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache")


def web(*names: str, help: str, env: str | None = None, **more: Any) -> Any:
    return option(*names, help=help, panel=WEB, env=env, **more)


def serving(*names: str, help: str, env: str | None = None, **more: Any) -> Any:
    return option(*names, help=help, panel=SERVING, env=env, **more)


def drafting(*names: str, help: str, env: str | None = None) -> Any:
    return option(*names, help=help, panel=DRAFTING, env=env)


@dataclass(frozen=True)
class WebOptions:
    """Where the server listens, and what it shows."""

    host: Annotated[
        str | None,
        web(
            "--host", env="HOST", help="Addresses to listen on, a,b; one that ends in .sock is a UNIX socket.",
            show_default="127.0.0.1",
        ),
    ] = None  # fmt: skip
    port: Annotated[int | None, web("--port", env="PORT", help="Port; 0: any that is free.", show_default="8080")] = (
        None
    )
    reuse_port: Annotated[
        bool, web("--reuse-port", env="REUSE_PORT", help="Let other servers listen on the port too.")
    ] = False
    insecure: Annotated[
        bool, web("--insecure", help="Let other machines connect though there is no API key (--api-key).")
    ] = False
    ssl_key_file: Annotated[
        str | None, web("--ssl-key-file", env="SSL_KEY_FILE", help="Private key of a certificate, PEM: serve HTTPS.")
    ] = None
    ssl_cert_file: Annotated[str | None, web("--ssl-cert-file", env="SSL_CERT_FILE", help="That certificate, PEM.")] = (
        None
    )
    timeout: Annotated[
        int, web("-to", "--timeout", env="TIMEOUT", help="Seconds that a client may take to read or write.")
    ] = 3600
    payload_limit: Annotated[int, web("--payload-limit", help="Most bytes of a request.")] = 32 << 20
    api_prefix: Annotated[str, web("--api-prefix", env="API_PREFIX", help="Path in front of all routes.")] = ""
    path: Annotated[
        str | None, web("--path", env="STATIC_PATH", help="Folder of files to serve in place of the web page.")
    ] = None
    ui: Annotated[bool, web("--ui/--no-ui", "--webui/--no-webui", env="UI", help="The web page at /.")] = True
    slots: Annotated[bool, web("--slots/--no-slots", env="ENDPOINT_SLOTS", help="GET /slots.")] = True
    props: Annotated[bool, web("--props", env="ENDPOINT_PROPS", help="POST /props.")] = False
    metrics: Annotated[bool, web("--metrics", env="ENDPOINT_METRICS", help="GET /metrics, for Prometheus.")] = False


@dataclass(frozen=True)
class AccessOptions:
    """Who may ask."""

    api_key: Annotated[
        list[str],
        Declared(
            ("--api-key",), "Keys, one of which a request must have; repeat or list a,b.", WEB, "LLAMA_API_KEY", {}
        ),
    ] = field(default_factory=list)
    api_key_file: Annotated[
        str | None, web("--api-key-file", env="API_KEY_FILE", help="File of such keys, one a line; # comments.")
    ] = None
    allowed_hosts: Annotated[
        list[str],
        web(
            "--allowed-hosts", help="Names of this server, besides --host's and localhost; *: any. Repeat or list a,b."
        ),
    ] = field(default_factory=list)
    cors_origins: Annotated[
        list[str],
        web(
            "--cors-origins", "--cors-allow-origin", env="CORS_ORIGINS",
            help="Web pages that may ask, by their origin; localhost: any of this machine, *: all. Repeat or list a,b.",
            show_default="none",
        ),
    ] = field(default_factory=list)  # fmt: skip
    cors_methods: Annotated[str, web("--cors-methods", env="CORS_METHODS", help="Methods that they may use.")] = (
        "GET, POST, DELETE, OPTIONS"
    )
    cors_headers: Annotated[str, web("--cors-headers", env="CORS_HEADERS", help="Headers that they may send.")] = "*"
    cors_credentials: Annotated[
        bool,
        web("--cors-credentials/--no-cors-credentials", env="CORS_CREDENTIALS", help="Whether they may log in."),
    ] = True


@dataclass(frozen=True)
class ServingOptions:
    """How requests are served."""

    alias: Annotated[
        list[str],
        serving("-a", "--alias", env="ALIAS", help="Names of the model, a,b; answers have the first of them."),
    ] = field(default_factory=list)
    tags: Annotated[
        list[str], serving("--tags", env="TAGS", help="Words about the model, a,b, which the list of models shows.")
    ] = field(default_factory=list)
    parallel: Annotated[
        int,
        serving(
            "-np", "--parallel", env="N_PARALLEL",
            help="Requests computed together; others wait. All share the context: none has only a part. -1: 16.",
        ),
    ] = -1  # fmt: skip
    max_concurrent_requests: Annotated[
        int | None,
        serving(
            "--max-concurrent-requests",
            help="Requests that run or wait; more are refused with 429.",
            show_default="1024 + those of -np",
        ),
    ] = None
    max_input_tokens: Annotated[
        int | None,
        serving("--max-input-tokens", "--max-input-length", help="Longest prompt.", show_default="the context"),
    ] = None
    max_total_tokens: Annotated[
        int | None,
        serving("--max-total-tokens", help="Longest prompt and answer together.", show_default="the context"),
    ] = None
    max_batch_prefill_tokens: Annotated[
        int, serving("--max-batch-prefill-tokens", help="Tokens of prompts computed in a step while others answer.")
    ] = 128
    kv_unified: Annotated[
        bool,
        serving(
            "-kvu/-no-kvu", "--kv-unified/--no-kv-unified", env="KV_UNIFIED",
            help="A request may use all of the context; without, its share of -np.",
        ),
    ] = True  # fmt: skip
    kv_unified_per_slot: Annotated[
        int | None,
        serving(
            "--kv-unified-per-slot", env="KV_UNIFIED_PER_SLOT", help="Most tokens of a request.", show_default="all"
        ),
    ] = None
    embedding: Annotated[
        bool,
        serving(
            "--embeddings/--no-embeddings", "--embedding/--no-embedding", env="EMBEDDINGS", help="Vectors of texts."
        ),
    ] = True
    reranking: Annotated[
        bool, serving("--reranking", "--rerank", env="RERANKING", help="Scores of documents: pooling rank.")
    ] = False
    pooling: Annotated[
        str | None,
        serving("--pooling", env="POOLING", help="none, mean, cls, last or rank.", show_default="the model's, or mean"),
    ] = None
    cache_prompt: Annotated[
        bool,
        serving("--cache-prompt/--no-cache-prompt", env="CACHE_PROMPT", help="Begin with what earlier prompts left."),
    ] = True
    sleep_idle_seconds: Annotated[
        int,
        serving(
            "--sleep-idle-seconds", env="SLEEP_IDLE_SECONDS", help="Free the model's memory after so long; -1: never."
        ),
    ] = -1
    slot_save_path: Annotated[
        str | None, serving("--slot-save-path", help="Folder for saved slots.", show_default="they cannot be saved")
    ] = None
    spm_infill: Annotated[bool, serving("--spm-infill", help="Infill: the suffix before the prefix.")] = False
    embd_normalize: Annotated[
        int,
        serving(
            "--embd-normalize",
            help="Length of vectors at /embedding: -1 as they come, 0 greatest number 32760, 1 taxicab, 2 Euclid, p.",
        ),
    ] = 2
    sse_ping_interval: Annotated[
        int, serving("--sse-ping-interval", env="SSE_PING_INTERVAL", help="Seconds between signs of life; -1: none.")
    ] = 30


@dataclass(frozen=True)
class DraftOptions:
    """Whether tokens are guessed. Texts are the same, and come sooner where guesses are right."""

    model_draft: Annotated[
        str | None,
        drafting(
            "-md", "--model-draft", "--spec-draft-model", env="SPEC_DRAFT_MODEL", help="GGUF file of a small model."
        ),
    ] = None
    hf_repo_draft: Annotated[
        str | None,
        drafting(
            "-hfd", "-hfrd", "--hf-repo-draft", "--spec-draft-hf", env="SPEC_DRAFT_HF_REPO",
            help="The same from Hugging Face: ORG/REPO[:QUANT].",
        ),
    ] = None  # fmt: skip
    spec_type: Annotated[
        str,
        drafting(
            "--spec-type", env="SPEC_TYPE",
            help=f"{', '.join(SPEC_TYPES)}; a,b. draft-simple: by -md, all of ngram: from the text so far.",
        ),
    ] = "none"  # fmt: skip
    spec_default: Annotated[bool, drafting("--spec-default", help="As --spec-type ngram-simple.")] = False
    n_max: Annotated[
        int,
        drafting(
            "--draft-max", "--draft", "--draft-n", "--spec-draft-n-max", env="SPEC_DRAFT_N_MAX",
            help="Most tokens guessed at once.",
        ),
    ] = 8  # fmt: skip
    n_min: Annotated[
        int,
        drafting(
            "--draft-min", "--draft-n-min", "--spec-draft-n-min", env="SPEC_DRAFT_N_MIN",
            help="Accepted: it is found out.",
        ),
    ] = 0  # fmt: skip
    p_min: Annotated[
        float, drafting("--draft-p-min", "--spec-draft-p-min", env="SPEC_DRAFT_P_MIN", help="Accepted: the same.")
    ] = 0.0


@dataclass(frozen=True)
class ModelsOptions:
    """More models than one."""

    models_dir: Annotated[
        str | None,
        option(
            "--models-dir",
            panel=MODELS,
            env="MODELS_DIR",
            help="Folder of GGUF files, each loaded when it is asked for.",
        ),
    ] = None
    models_preset: Annotated[
        str | None,
        option(
            "--models-preset", panel=MODELS, env="MODELS_PRESET",
            help="INI file: a section a model, with its name and options; [*] holds for all.",
        ),
    ] = None  # fmt: skip
    models_max: Annotated[
        int,
        option(
            "--models-max", panel=MODELS, env="MODELS_MAX",
            help="Models loaded at once; the one not used for longest makes way. 0: any number.",
        ),
    ] = 4  # fmt: skip
    models_autoload: Annotated[
        bool,
        option(
            "--models-autoload/--no-models-autoload", panel=MODELS, env="MODELS_AUTOLOAD",
            help="Load a model when a request names it; ?autoload=true or false says so of one request.",
        ),
    ] = True  # fmt: skip
    config_file: Annotated[
        str | None,
        option(
            "--config-file", panel=MODELS,
            help="File of settings and models, as llama-cpp-python's server reads it; options go before what it says.",
        ),
    ] = None  # fmt: skip

    @property
    def sources(self) -> list[str]:
        """The options that say which models there are."""
        given = {
            "--models-dir": self.models_dir,
            "--models-preset": self.models_preset,
            "--config-file": self.config_file,
        }
        return [name for name, value in given.items() if value is not None]


@dataclass(frozen=True)
class EndOptions:
    """How it starts and ends, and what it tells meanwhile."""

    grace: Annotated[
        float,
        option(
            "-g", "--graceful-termination-timeout", panel=ENDING,
            help="Seconds that requests have when the server is told to end.",
        ),
    ] = 30.0  # fmt: skip
    json_output: Annotated[
        bool, option("--log-jsonl/--no-log-jsonl", "--json-output", panel=ENDING, env="LOG_JSONL", help="Log in JSON.")
    ] = False
    otlp_endpoint: Annotated[
        str | None, option("--otlp-endpoint", panel=ENDING, help="Send traces there (OTLP over HTTP).")
    ] = None
    otlp_service_name: Annotated[
        str, option("--otlp-service-name", panel=ENDING, help="The server's name in traces.")
    ] = "llamakit.server"
