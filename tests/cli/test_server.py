"""`llamakit server`: what its options become."""

from __future__ import annotations

from dataclasses import fields

import pytest

from llamakit.cli.app import run
from llamakit.cli.parsing.declared import declaration
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import read
from llamakit.cli.server import server
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.schema_rules import schema_rules

pytest.importorskip("fastapi")

# llama-server's options that a person may type, with a value where they take one; all must be read.
TYPED = """-m M -c 512 -b 64 -ub 64 -t 2 -tb 2 -np 4 --parallel 4 -n 5 --n-predict 5 -a x,y --host 127.0.0.1 --port 0
    -to 9 --threads-http 4 -cb -nocb --slots --no-slots --props --metrics --embeddings --embedding --pooling mean
    --reranking --rerank --lora A --lora-scaled A:0.5 --lora-scaled A 0.5 --lora-init-without-apply --slot-save-path D
    --api-prefix /x --path D
    --no-ui --no-webui --ssl-key-file K --ssl-cert-file C --jinja --no-jinja --chat-template chatml
    --chat-template-kwargs {} --reasoning-format none --reasoning-budget 0 -rea off -md D --draft 4 --draft-max 4
    --draft-min 1 --draft-p-min 0.5 --spec-type ngram-simple --spec-draft-n-max 3 -ngld 0 -devd none -td 1 -ctkd f16
    --models-dir D --models-max 2 --no-models-autoload --context-shift --no-context-shift --keep 3 -ngl 99 -fa on
    -sm none -ts 1,1 -mg 0 -dev none --no-mmap --mlock --numa distribute -v -lv 2 --log-file F --log-disable --temp 0
    --seed 1 --top-k 3 --api-key a,b --api-key-file F -sps 0.5 --cache-prompt --no-cache-prompt --cache-reuse 64 -kvu
    --no-kv-unified -ctxcp 3 -cram 100 --swa-full --warmup --no-warmup --spm-infill --special -r stop --tags a
    --sleep-idle-seconds 5 --no-mmproj --sse-ping-interval 5 --embd-normalize 2 --verbose-prompt -gan 1 -gaw 512
    --grammar G --grammar-file F -j {} --json-schema {} -jf F --json-schema-file F -hfd A/B -hfrd A/B --hf-repo-draft
    A/B --spec-draft-hf A/B --spec-draft-model D --spec-default --draft-n 3 --draft-n-min 3 --spec-draft-n-min 1
    --spec-draft-p-min 0.5 --draft-p-split 0.1 --spec-draft-p-split 0.1 --spec-draft-ngl 1 --spec-draft-threads 1 -tbd
    1 --spec-draft-threads-batch 1 -Cd f -Crd 0-1 --cpu-strict-draft 1 --prio-draft 1 --poll-draft 1 -Cbd f
    --spec-draft-cpu-strict-batch 1 --prio-batch-draft 1 --poll-batch-draft 1 -otd x=CPU -cmoed -ncmoed 3
    --spec-draft-backend-sampling --no-spec-draft-backend-sampling --spec-draft-type-k f16 --spec-draft-type-v f16
    --spec-ngram-mod-n-min 1 --spec-ngram-mod-n-max 2 --spec-ngram-mod-n-match 3 --spec-ngram-simple-size-n 3
    --spec-ngram-simple-size-m 3 --spec-ngram-simple-min-hits 1 --spec-ngram-map-k-size-n 3 --spec-ngram-map-k-size-m
    3 --spec-ngram-map-k-min-hits 1 --spec-ngram-map-k4v-size-n 3 --spec-ngram-map-k4v-size-m 3
    --spec-ngram-map-k4v-min-hits 1 --spec-ngram-size-n 3 --spec-ngram-size-m 3 --spec-ngram-min-hits 1
    --spec-synth-len 3 --spec-synth-rates 0.5,0.2 -mm F -mmu U -mmdev none --mtmd-batch-max-tokens 9 --video-fps 2
    --video-timestamp-interval 5 --video-ffmpeg-dir D --tools all --tools-runtime x --mcp-servers-config F
    --mcp-servers-json {} -ag -no-ag --ui-mcp-proxy --no-ui-mcp-proxy --log-prompts-dir D --media-path D"""


class Told:
    """In place of an engine's process: what it is told to load."""

    def __init__(self):
        self.settings = []

    def load(self, settings):
        self.settings.append(settings)


@pytest.fixture(autouse=True)
def no_engine(monkeypatch):
    monkeypatch.setattr("llamakit.server.engine.spawn.spawn", Told)


def typed():
    """The options above, one at a time."""
    words: list[str] = []
    for word in TYPED.split():
        if word.startswith("-") and words:
            yield words
            words = []
        words.append(word)
    yield words


@pytest.mark.parametrize("words", [*typed()], ids=" ".join)
def test_llama_servers_options_are_read(words):
    read(declaration(flatten(server)), words)


@pytest.fixture(autouse=True)
def no_logs(monkeypatch):
    """They are set up for the whole process, and would go on to a stderr that ends with the test."""
    monkeypatch.setattr("llamakit.server.operations.logs.configure_logs", lambda **options: None)


def settings(monkeypatch, *args):
    """(ServerSettings, ModelSettings, hosts, port) that a command line starts a server with."""
    started = []

    def serve(settings, model, hosts, port, reuse_port, spawned):
        assert spawned.settings == [model]  # it loads while the web framework is imported
        started.append((settings, model, hosts, port))
        return 0

    monkeypatch.setattr("llamakit.server.launch.serve", serve)
    assert run(["server", "-m", "model.gguf", *args]) == 0
    return started[0]


def test_the_defaults_are_safe(monkeypatch):
    web, model, hosts, port = settings(monkeypatch)
    assert (hosts, port, web.api_keys, web.origins.allowed) == (["127.0.0.1"], 8080, (), ())
    assert web.origins.hosts == {"localhost", "127.0.0.1", "::1"}
    assert (model.path, model.n_slots, model.n_ctx_request, model.context_shift) == ("model.gguf", 16, None, False)
    assert (web.has_metrics, web.has_props, web.has_slots, model.draft) == (False, False, True, None)


def test_fault_82_names_are_checked_beside_a_unix_socket_too(monkeypatch):
    web = settings(monkeypatch, "--host", "127.0.0.1,/tmp/llamakit.sock")[0]
    assert web.origins.hosts == {"localhost", "127.0.0.1", "::1"}


@pytest.mark.parametrize(
    "args, wanted",
    [
        (["-np", "4", "--max-concurrent-requests", "10"], {"n_slots": 4, "n_queue_max": 6}),
        (["--max-concurrent-requests", "2"], {"n_slots": 2, "n_queue_max": 0}),
        (["-c", "1024", "-np", "4", "--no-kv-unified"], {"n_ctx_request": 256}),
        (["--max-total-tokens", "100", "--max-input-tokens", "50"], {"n_ctx_request": 100, "n_input_max": 50}),
        (["-a", "b,a", "--alias", "c"], {"aliases": ("a", "b", "c")}),
        (["--tags", "small, chat", "--tags", "chat"], {"tags": ("chat", "small")}),
        (["--temp", "0", "--samplers", "top_k"], {"sampling": {"temperature": 0.0, "samplers": ("top_k",)}}),
        (["--reranking"], {"pooling": "rank", "reranking": True}),
        (["-r", r"a\nb", "-n", "9"], {"stop": ("a\nb",), "n_predict": 9}),
        (["--keep", "4", "--context-shift"], {"n_keep": 4, "context_shift": True}),
        (["--embd-normalize", "-1"], {"embd_normalize": -1}),
        (["--grammar", 'root ::= "yes"'], {"rules": parse_gbnf('root ::= "yes"')}),
        (["-j", '{"const": 1}'], {"rules": schema_rules({"const": 1})}),
    ],
)
def test_options_of_the_model(monkeypatch, args, wanted):
    model = settings(monkeypatch, *args)[1]
    assert {name: getattr(model, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    "args, draft",
    [
        (["--spec-type", "ngram-simple"], (None, 8)),
        (["-md", "d.gguf", "--draft-max", "3"], ("d.gguf", 3)),
        (["--spec-type", "none"], None),
        (["--spec-default"], (None, 8)),
    ],
)
def test_guessing(monkeypatch, args, draft):
    found = settings(monkeypatch, *args)[1].draft
    assert (found and tuple(getattr(found, f.name) for f in fields(found))) == draft


@pytest.mark.parametrize("args", [["-hfd", "a/b:Q4_0"], ["-md", "hf:a/b:Q4_0"]])
def test_a_draft_model_is_fetched_as_the_model_is(monkeypatch, tmp_path, args):
    monkeypatch.setattr("llamakit.tools.pull.resolve", lambda spec, *_, **options: tmp_path / spec.partition(":")[2])
    draft = settings(monkeypatch, *args)[1].draft
    assert draft is not None and draft.path == str(tmp_path / "a/b:Q4_0")


def test_variables_with_the_names_of_older_releases_are_read(monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_MODEL_DRAFT", "d.gguf")
    monkeypatch.setenv("LLAMA_ARG_DRAFT_MAX", "3")
    monkeypatch.setenv("LLAMA_ARG_NO_WEBUI", "1")
    web, model = settings(monkeypatch)[:2]
    assert (model.draft.path, model.draft.n_most, web.has_web_page) == ("d.gguf", 3, False)


def test_a_preset_is_read_anew_whenever_it_is_asked_for(monkeypatch, tmp_path):
    preset, started = tmp_path / "models.ini", []
    preset.write_text("[a]\nmodel = a.gguf")
    monkeypatch.setattr("llamakit.server.launch.serve_many", lambda _, known, *more, **options: started.append(known))
    assert run(["server", "--models-preset", str(preset), "-c", "64"]) == 0
    assert {name: (m.path, m.opening.n_ctx) for name, m in started[0]().items()} == {"a": ("a.gguf", 64)}
    preset.write_text("[b]\nmodel = b.gguf")
    assert [*started[0]()] == ["b"]


@pytest.mark.parametrize("most", ["0", "-1"])
def test_any_number_of_models_as_llama_server_has_it(monkeypatch, tmp_path, most):
    preset, started = tmp_path / "models.ini", []
    preset.write_text("[a]\nmodel = a.gguf")
    monkeypatch.setattr("llamakit.server.launch.serve_many", lambda *args, **options: started.append(args[2]))
    assert run(["server", "--models-preset", str(preset), "--models-max", most]) == 0
    assert started == [0]


def test_keys_come_from_options_files_and_the_environment(monkeypatch, tmp_path):
    file = tmp_path / "keys"
    file.write_text("# ours\nc\n\nd\n")
    web = settings(monkeypatch, "--api-key", "a,b", "--api-key-file", str(file), "--host", "0.0.0.0")[0]
    assert (web.api_keys, web.origins.hosts) == (("a", "b", "c", "d"), None)
    monkeypatch.setenv("LLAMA_API_KEY", "e")
    assert settings(monkeypatch)[0].api_keys == ("e",)


@pytest.mark.parametrize(
    "args, message",
    [
        (["--host", ""], "there is no address"),
        (["--host", "0.0.0.0"], "set --api-key, or say --insecure"),
        (["-m", "M", "--ssl-key-file", "key.pem"], "needs both"),
        (["-m", "M", "--pooling", "best"], "'best' is not none, mean"),
        (["-m", "M", "--temp", "nan"], "temperature"),
        (["--spec-type", "draft-eagle3"], "'draft-eagle3' is not"),
        (["--spec-type", "draft-simple"], "needs a draft model"),
        (["--no-kv-unified"], "it needs -c"),
        (["--max-total-tokens", "0"], "at least"),
        (["--max-total-tokens", "101", "-c", "100"], "--max-total-tokens 101: the context has 100 tokens"),
        (["--max-input-tokens", "101", "-c", "100"], "--max-input-tokens 101: the context has 100 tokens"),
        (["--max-batch-prefill-tokens", "0"], "--max-batch-prefill-tokens: must be at least 1, not 0"),
        (["--max-client-batch-size", "0"], "--max-client-batch-size: must be at least 1"),
        (["--validation-workers", "0"], "--validation-workers: must be at least 1"),
        (["--watermark-delta", "nan"], "--watermark-delta: must be a finite number"),
        (["--payload-limit", "-1"], "--payload-limit: must be at least 1, not -1"),
        (["--timeout", "0"], "--timeout: must be at least 1, not 0"),
        (["--sse-ping-interval", "-2"], "--sse-ping-interval: must be at least -1, not -2"),
        (["-g", "-1"], "--graceful-termination-timeout: must be at least 0, not -1"),
        (["-g", "nan"], "not nan"),
        (["--api-prefix", "foo"], "--api-prefix foo: must be as /a"),
        (["--api-prefix", "/foo/"], "--api-prefix /foo/: must be as /a"),
        (["--api-prefix", "/{x}"], "--api-prefix /{x}: must be as /a"),
        (["--path", "/no/where"], "--path /no/where: there is no such folder"),
        (["--slot-save-path", "/no/where"], "--slot-save-path /no/where: there is no such folder"),
        (["--otlp-endpoint", "localhost"], "--otlp-endpoint localhost: must be a URL"),
        (["--otlp-endpoint", "http://a:b"], "must be a URL"),
        (["--otlp-endpoint", "http://localhost:4317"], "4317 is that of OTLP over gRPC"),
        (["--host", "127.evil.com"], "set --api-key, or say --insecure"),
        (["--max-concurrent-requests", "0"], "--max-concurrent-requests: must be at least 1, not 0"),
        (["--embd-normalize", "-2"], "-2 is not -1, 0, 1, 2 or"),
        (["--grammar", "yes"], "line 1"),
        (["-j", '{"type": 1}'], "/type"),
        (["-j", "{}", "--grammar", "root ::= a"], "only one of them"),
        (["--models-dir", "D", "-m", "M"], "choose"),
        (["--models-dir", "D", "--models-preset", "F"], "only one of --models-dir and --models-preset"),
        (["--models-preset", "there/is/none.ini"], "none.ini"),
    ],
)
def test_what_makes_no_sense_is_said(capsys, args, message):
    assert run(["server", *args]) in (1, 2)
    assert message in capsys.readouterr().err
