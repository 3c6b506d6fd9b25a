"""Completions and chats, asked for by the official client and by hand."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from llamakit.core.chat.load import load_template
from llamakit.core.chat.prompt import chat_prompt
from llamakit.core.engine.load import load_model
from llamakit.core.engine.scheduler import Cancelled, Request
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.server.settings import ChatSettings

from ...running import open_context

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


@pytest.fixture
def client(server):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def said(scheduler, tokens, n_predict, **params):
    """What the scheduler says by itself."""
    vocab = scheduler.vocab
    sampler = Sampler(SamplingParams(**params), vocab.n_tokens, vocab.eog_ids, vocab=vocab)
    job = scheduler.submit(Request(tokens, sampler, n_predict=n_predict))
    return "".join(piece.text for piece in job.pieces()) + job.end.text


def post(server, path, body):
    """Status and JSON of a request made by hand."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def wait_until(is_true):
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def test_health_and_models(server, client):
    with urllib.request.urlopen(f"{server.url}/health", timeout=60) as answer:
        assert json.load(answer) == {"status": "ok"}
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_a_completion_is_what_the_engine_says(server, client):
    tokens = server.scheduler.vocab.encode("Hello")
    wanted = said(server.scheduler, tokens, 24, seed=7)
    for prompt in ("Hello", tokens):
        answer = client.completions.create(model="tiny", prompt=prompt, max_tokens=24, seed=7)
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == (wanted, "length")
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (len(tokens), 24)
    assert answer.usage.prompt_tokens_details.cached_tokens == len(tokens) - 1


def test_a_stream_of_a_completion_joins_to_the_whole(server, client):
    wanted = said(server.scheduler, server.scheduler.vocab.encode("Hello"), 24, seed=7)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *texts, usage = client.completions.create(model="tiny", prompt="Hello", max_tokens=24, seed=7, **options)
    assert "".join(chunk.choices[0].text for chunk in texts) == wanted
    assert [chunk.choices[0].finish_reason for chunk in texts] == [None] * (len(texts) - 1) + ["length"]
    assert (usage.choices, usage.usage.completion_tokens) == ([], 24)


def test_a_chat_is_rendered_by_the_template(server, client):
    vocab = server.scheduler.vocab
    tokens = chat_prompt(load_template({}, vocab), MESSAGES).encode(vocab)
    wanted = said(server.scheduler, tokens, 20, seed=3)
    options = {"model": "tiny", "messages": MESSAGES, "seed": 3}
    answer = client.chat.completions.create(**options, max_completion_tokens=20)
    assert (answer.choices[0].message.role, answer.choices[0].message.content) == ("assistant", wanted)
    chunks = list(client.chat.completions.create(**options, max_tokens=20, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == wanted
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_text_and_what_follows_never_come_out(server, client, stream):
    text = said(server.scheduler, server.scheduler.vocab.encode("Hello"), 40, seed=7)
    stop = text[len(text) // 2 :][:3]
    answer = client.completions.create(model="tiny", prompt="Hello", max_tokens=40, seed=7, stop=stop, stream=stream)
    chunks = list(answer) if stream else [answer]
    assert "".join(chunk.choices[0].text for chunk in chunks) == text[: text.index(stop)]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_the_same_request_gives_the_same_beside_others(server, client):
    wanted = said(server.scheduler, server.scheduler.vocab.encode("Hello"), 30, seed=7)

    def ask(i):
        prompt, seed = ("Hello", 7) if i % 2 else (f"Something else {i}", i)
        return client.completions.create(model="tiny", prompt=prompt, max_tokens=30, seed=seed).choices[0].text

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(12)))[1::2] == [wanted] * 6


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_cancels_its_job(server, monkeypatch, stream):
    context = server.scheduler.context
    decode = context.decode

    def slow(*args, **kwargs):
        time.sleep(0.01)
        return decode(*args, **kwargs)

    monkeypatch.setattr(context, "decode", slow)
    body = json.dumps({"prompt": "Hello", "stream": stream, "logit_bias": {"2": -100}})  # ends when the context is full
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    wait_until(lambda: [s for s in server.engine.streams.values() if s.usage.n_drawn])
    (job,) = server.engine.streams.values()
    if stream:
        answer = connection.getresponse()
        answer.read(1)
        answer.close()
    connection.close()
    wait_until(lambda: job.end is not None)
    assert job.end == Cancelled()


@pytest.mark.parametrize(
    "route, body, status, message",
    [
        ("/v1/completions", {"prompt": []}, 400, '"prompt" must not be empty'),
        ("/v1/completions", {"prompt": [99999]}, 400, "99999 is no token"),
        (
            "/v1/completions",
            {"prompt": [5] * 300},
            400,
            "request (300 tokens) exceeds the available context size (256 tokens)",
        ),
        ("/v1/completions", {}, 400, '"prompt" is required'),
        ("/v1/completions", {"prompt": "a", "temperature": -1}, 400, "'temperature': Value must be"),
        ("/v1/completions", {"prompt": "a", "seed": -5}, 400, "'seed': Value must be"),
        ("/v1/completions", {"prompt": "a", "n": 200}, 400, "'n': Value must be"),
        ("/v1/completions", {"prompt": "a", "best_of": 200}, 400, "'best_of': Value must be"),
        ("/v1/completions", {"prompt": "a", "logit_bias": {"5": "x"}}, 400, "is no bias"),
        ("/v1/completions", b"{", 400, "JSON"),
        ("/v1/chat/completions", {"messages": []}, 400, "messages: "),
        ("/v1/chat/completions", {"messages": [{"role": "nobody", "content": "a"}]}, 400, "nobody"),
        ("/v1/chat/completions", {"messages": MESSAGES, "stream": True, "top_k": 1 << 40}, 400, "top_k"),
        ("/nowhere", {}, 404, "Not Found"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(server, route, body, status, message):
    got, answer = post(server, route, body)
    assert got == status
    assert message in answer["error"]["message"]
    assert (answer["error"]["code"], type(answer["error"]["type"])) == (status, str)


def test_a_full_queue_is_429_with_a_time_to_come_again(server, monkeypatch):
    monkeypatch.setattr(server.engine, "n_queue_max", 1 - server.engine.info.n_slots)
    monkeypatch.setitem(server.engine.streams, -1, None)
    request = urllib.request.Request(
        f"{server.url}/v1/completions", b'{"prompt": "a"}', {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    with refused.value as error:
        assert (error.code, error.headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize(
    "route, body, param",
    [
        ("/completion", {"prompt": ["a", "b", "c"]}, "prompt"),
        ("/v1/completions", {"prompt": ["a", "b", "c"]}, "prompt"),
        ("/v1/completions", {"prompt": "a", "best_of": 3}, "best_of"),
        ("/v1/completions", {"prompt": "a", "n": 3}, "n"),
        ("/v1/chat/completions", {"messages": MESSAGES, "n": 3}, "n"),
    ],
)
def test_more_answers_than_can_ever_be_are_refused_by_name(server, monkeypatch, route, body, param):
    """A 429 would send the client back for ever."""
    monkeypatch.setattr(server.engine, "n_queue_max", 2 - server.engine.info.n_slots)
    status, answer = post(server, route, body)
    assert (status, answer["error"]["param"]) == (400, param)
    assert "asks for 3 answers at once, and no more than 2 can run or wait" in answer["error"]["message"]


@pytest.fixture(scope="module")
def roomy(path):
    """A context that tools have room in, and a template that knows them."""
    pytest.importorskip("uvicorn")
    from ..scripted import TEMPLATE
    from ..serving import serving

    with open_context(path, n_ctx=1536, n_seq_max=2) as context:
        with Scheduler(context, load_model(path).vocab) as scheduler:
            with serving(scheduler, chat=ChatSettings(template=TEMPLATE)) as running:
                yield running


CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Bonn", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_of_random_weights_calls_a_tool_rightly_when_it_must(roomy, seed, stream):
    tool = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
    choice = {"type": "function", "function": {"name": "weather"}}
    body = {"messages": MESSAGES, "tools": [tool], "tool_choice": choice, "seed": seed, "reasoning_budget_tokens": 0}
    reply = roomy.ask("/v1/chat/completions", {**body, "stream": stream})
    if stream:
        deltas = [c["delta"] for event in reply.events[:-1] for c in event["choices"]]
        calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", ())]
        arguments, reason = "".join(c["arguments"] for c in calls), reply.events[-2]["choices"][0]["finish_reason"]
    else:
        (choice,) = reply.json["choices"]
        arguments, reason = choice["message"]["tool_calls"][0]["function"]["arguments"], choice["finish_reason"]
    assert (json.loads(arguments)["city"] in ("Bonn", "Rome"), reason) == (True, "tool_calls")


@pytest.mark.parametrize(
    "route, body",
    [
        ("/v1/chat/completions", {"messages": MESSAGES, "response_format": {"type": "json_object", "schema": CITY}}),
        ("/v1/completions", {"prompt": "Hi", "json_schema": CITY}),
        ("/v1/responses", {"input": "Hi", "text": {"format": {"type": "json_schema", "name": "n", "schema": CITY}}}),
        ("/v1/messages", {"messages": MESSAGES[1:], "output_format": {"type": "json_schema", "schema": CITY}}),
    ],
)
def test_an_answer_fits_its_schema_on_every_api(roomy, route, body):
    reply = roomy.ask(route, {**body, "seed": 3, "reasoning_budget_tokens": 0}).json
    if route == "/v1/responses":
        text = reply["output"][-1]["content"][0]["text"]
    elif route == "/v1/messages":
        text = reply["content"][-1]["text"]
    else:
        text = reply["choices"][0].get("text") or reply["choices"][0]["message"]["content"]
    assert json.loads(text)["city"] in ("Bonn", "Rome")


def test_a_grammar_that_allows_nothing_more_is_an_error_before_or_amid_a_stream(roomy):
    """The bias forbids what the grammar asks for."""
    token = roomy.served.vocab.encode("b", add_special=False)[-1]
    body = {"prompt": "Hi", "logit_bias": [[token, False]]}
    at_once = roomy.ask("/v1/completions", {**body, "grammar": 'root ::= "b"', "stream": True})
    assert at_once.status == 400
    assert "no token may come next" in at_once.json["error"]["message"]
    later = roomy.ask("/v1/completions", {**body, "grammar": 'root ::= "ab"', "stream": True})
    assert later.status == 200
    assert "no token may come next" in later.events[-1]["error"]["message"]


def test_the_same_prompt_parameters_and_seed_give_the_same_text_on_every_api(roomy):
    user = MESSAGES[1:]
    same = {"seed": 5, "temperature": 0.7, "max_tokens": 12}
    chat = roomy.ask("/v1/chat/completions", {"messages": user, **same}).json["choices"][0]["message"]["content"]
    message = roomy.ask("/v1/messages", {"messages": user, **same}).json["content"][0]["text"]
    same["max_output_tokens"] = same.pop("max_tokens")
    response = roomy.ask("/v1/responses", {"input": user, **same}).json["output"][0]["content"][0]["text"]
    assert chat == message == response != ""
