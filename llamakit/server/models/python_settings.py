"""Settings as llama-cpp-python's server names them, from its command line, environment and files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from llamakit.core.chat.python_formats import template_text
from llamakit.core.engine.rope_overrides import SCALING_TYPES, RopeParams
from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError
from llamakit.server.settings import N_SLOTS, ChatSettings, DraftSettings, ModelSettings, ServerSettings
from llamakit.tools.completion import ContextParams
from llamakit.tools.text_file import read_text

log = logging.getLogger(__name__)

TRUE, FALSE = {"1", "on", "t", "true", "y", "yes"}, {"0", "off", "f", "false", "n", "no"}
FROM_THE_TEXT = "prompt-lookup-decoding"  # the draft model that is none


def switch(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in TRUE | FALSE:
        return text in TRUE
    raise ValueError("is neither true nor false")


def texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def mapping(value: Any) -> dict[str, Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise ValueError("is no object")
    return found


def cache_type(value: Any) -> str:
    """A number of ggml's, or a name."""
    text = str(value)
    return GGMLType(int(text)).name.lower() if text.isdecimal() else text.lower()


@dataclass(frozen=True)
class Setting:
    read: Callable[[Any], Any]
    has_effect: bool = True
    warns: bool = False  # without effect, though it would change something


def anything(value: Any) -> Any:
    return value


# A processor has no use for them, or prefixes are kept for all models.
NO_EFFECT = """n_gpu_layers split_mode main_gpu tensor_split mul_mat_q logits_all offload_kqv flash_attn
    last_n_tokens_size cache cache_type cache_size verbose""".split()
NOT_DONE_HERE = """vocab_only use_mlock rpc_servers lora_base numa clip_model_path hf_tokenizer_config_path
    hf_pretrained_model_name_or_path""".split()
MODEL: Mapping[str, Setting] = {
    "model": Setting(str), "model_alias": Setting(str), "use_mmap": Setting(switch), "kv_overrides": Setting(texts),
    "seed": Setting(int), "n_ctx": Setting(int), "n_batch": Setting(int), "n_ubatch": Setting(int),
    "n_threads": Setting(int), "n_threads_batch": Setting(int), "rope_scaling_type": Setting(int),
    "rope_freq_base": Setting(float), "rope_freq_scale": Setting(float), "yarn_ext_factor": Setting(float),
    "yarn_attn_factor": Setting(float), "yarn_beta_fast": Setting(float), "yarn_beta_slow": Setting(float),
    "yarn_orig_ctx": Setting(int), "embedding": Setting(switch), "lora_path": Setting(str),
    "chat_format": Setting(str), "chat_template_kwargs": Setting(mapping), "hf_model_repo_id": Setting(str),
    "draft_model": Setting(str), "draft_model_num_pred_tokens": Setting(int), "type_k": Setting(cache_type),
    "type_v": Setting(cache_type),
    **{name: Setting(anything, has_effect=False) for name in NO_EFFECT},
    **{name: Setting(anything, has_effect=False, warns=True) for name in NOT_DONE_HERE},
}  # fmt: skip
SERVER: Mapping[str, Setting] = {
    "host": Setting(str), "port": Setting(int), "ssl_keyfile": Setting(str), "ssl_certfile": Setting(str),
    "api_key": Setting(str), "interrupt_requests": Setting(switch, has_effect=False),
    "disable_ping_events": Setting(switch), "root_path": Setting(str), "insecure": Setting(switch),
}  # fmt: skip


@dataclass(frozen=True)
class PythonSettings:
    """What was said, as it was read; the first model is the default."""

    server: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[Mapping[str, Any], ...] = ()

    @property
    def host(self) -> str:
        return str(self.server.get("host", "localhost"))

    @property
    def port(self) -> int:
        return int(self.server.get("port", 8000))


def is_list(name: str) -> bool:
    """Whether a setting may be given several times."""
    return name in MODEL and MODEL[name].read is texts


def read_settings(given: Mapping[str, Any], known: Mapping[str, Setting], where: str) -> dict[str, Any]:
    """Values by their names; null stands for the default. Raises UsageError."""
    found = {}
    for name, value in given.items():
        setting = known.get(name)
        if setting is None:
            raise UsageError(f"{where}: there is no setting {name!r}")
        if value is None:
            continue
        if setting.warns and str(value).strip().lower() not in FALSE:
            log.warning("%s: %s has no effect in llamakit", where, name)
        try:
            found[name] = setting.read(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"{where}: {name} {str(value)[:80]!r}: {error}") from None
    return found


def read_file(path: str) -> PythonSettings:
    """JSON: settings of the server, and `models`, a list of objects with those of a model. Raises UsageError."""
    if Path(path).suffix in (".yaml", ".yml"):
        text = json_of_yaml(path)
    else:
        text = read_text(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no JSON: {error}") from None
    models = found.pop("models", None) if isinstance(found, dict) else None
    if not isinstance(models, list) or not models or not all(isinstance(model, dict) for model in models):
        raise UsageError(f'{path}: needs "models", a list of objects, each with a "model"')
    read = tuple(read_settings(model, MODEL, f"{path}: models[{i}]") for i, model in enumerate(models))
    return PythonSettings(read_settings(found, SERVER, path), read)


def json_of_yaml(path: str) -> str:
    try:
        yaml = import_module("yaml")
    except ImportError:
        raise UsageError(f"{path}: YAML needs PyYAML (pip install pyyaml); or write the settings as JSON") from None
    try:
        return json.dumps(yaml.safe_load(read_text(path)))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no YAML: {' '.join(str(error).split())}") from None


def model_settings(m: Mapping[str, Any], server: Mapping[str, Any] | None = None) -> ModelSettings:
    """Raises UsageError for what makes no sense."""
    if not m.get("model"):
        raise UsageError("model: a GGUF file must be named")
    if m.get("n_ctx", 0) < 0:
        raise UsageError(f"n_ctx: {m['n_ctx']} is less than 0; 0 stands for the trained length")
    scaling = m.get("rope_scaling_type", -1)
    opening = ContextParams(
        n_ctx=m.get("n_ctx", 2048),
        n_batch=m.get("n_batch", 512),
        n_ubatch=m.get("n_ubatch", 512),
        n_threads=positive(m.get("n_threads")),
        n_threads_batch=positive(m.get("n_threads_batch")),
        type_k=m.get("type_k", "f16"),
        type_v=m.get("type_v", "f16"),
        use_mmap=m.get("use_mmap", True),
        overrides=dict(map(override, m.get("kv_overrides", []))),
        rope=RopeParams(
            scaling_type=SCALING_TYPES[scaling] if 0 <= scaling < len(SCALING_TYPES) else None,
            freq_base=m.get("rope_freq_base") or None,
            freq_scale=m.get("rope_freq_scale") or None,
            yarn_orig_ctx=m.get("yarn_orig_ctx") or None,
            yarn_ext_factor=other_than(m.get("yarn_ext_factor"), -1.0),
            yarn_attn_factor=other_than(m.get("yarn_attn_factor"), 1.0),
            yarn_beta_fast=other_than(m.get("yarn_beta_fast"), 32.0),
            yarn_beta_slow=other_than(m.get("yarn_beta_slow"), 1.0),
        ),
        adapters=((m["lora_path"], 1.0),) if m.get("lora_path") else (),
    )
    return ModelSettings(
        path=f"hf:{m['hf_model_repo_id']}/{m['model']}" if m.get("hf_model_repo_id") else m["model"],
        aliases=(m.get("model_alias") or m["model"],),
        opening=opening,
        n_slots=N_SLOTS,
        draft=draft_settings(m),
        embeddings=m.get("embedding", True),
        chat=ChatSettings(template=template_text(m.get("chat_format")), variables=m.get("chat_template_kwargs", {})),
        sampling={} if m.get("seed", 0xFFFFFFFF) == 0xFFFFFFFF else {"seed": m["seed"]},
        sse_ping_interval=-1 if (server or {}).get("disable_ping_events") else 30,
    )


def draft_settings(m: Mapping[str, Any]) -> DraftSettings | None:
    """Raises UsageError for less than one token."""
    model, n_most = m.get("draft_model"), m.get("draft_model_num_pred_tokens", 10)
    if n_most < 1:
        raise UsageError(f"draft_model_num_pred_tokens: {n_most} is less than 1")
    return DraftSettings(None if model == FROM_THE_TEXT else model, n_most) if model else None


def api_keys(server: Mapping[str, Any]) -> tuple[str, ...]:
    key = server.get("api_key")
    return (key,) if key else ()


def server_settings(server: Mapping[str, Any]) -> ServerSettings:
    return ServerSettings(
        api_prefix=str(server.get("root_path", "")).rstrip("/"),
        api_keys=api_keys(server),
        ssl_key_file=server.get("ssl_keyfile"),
        ssl_cert_file=server.get("ssl_certfile"),
    )


def positive(n: int | None) -> int | None:
    """Below 1 stands for all there are."""
    return n if n is not None and n > 0 else None


def other_than(value: float | None, default: float) -> float | None:
    """None, for the model's own, where the value is llama.cpp's default."""
    return None if value is None or value == default or value < 0 else value


def override(text: str) -> tuple[str, int | float | bool | str]:
    """KEY=TYPE:VALUE. Raises UsageError."""
    key, _, rest = text.partition("=")
    kind, _, value = rest.partition(":")
    readers: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": switch, "str": str}
    try:
        return key, readers[kind](value)
    except (KeyError, ValueError):
        raise UsageError(f"kv_overrides: {text!r} is not KEY=TYPE:VALUE with TYPE int, float, bool or str") from None
