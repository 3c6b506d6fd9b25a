"""/predict: several requests in one, as Vertex AI sends them."""

from __future__ import annotations

import pytest


def test_each_instance_is_answered_by_its_route(server):
    chat = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "seed": 1}
    text = {"prompt": "Hello you", "n_predict": 5, "seed": 1}
    instances = [
        {"@requestFormat": "chatCompletions", "stream": True, **chat},
        {"@requestFormat": "completion", **text},
        {"@requestFormat": "tokenize", "content": "Hello"},
    ]
    first, second, third = server.ask("/predict", {"instances": instances}).json["predictions"]
    assert first["choices"][0]["message"]["role"] == "assistant"
    assert second["content"] == server.ask("/completion", text).json["content"]
    assert third == server.ask("/tokenize", {"content": "Hello"}).json


@pytest.mark.parametrize(
    "instance, message",
    [
        (5, "each instance must be a JSON object"),
        ({"@requestFormat": "dance"}, "must be one of"),
        ({}, "must be one of"),
        ({"@requestFormat": "completion"}, '"prompt" is required'),
    ],
)
def test_what_is_wrong_with_one_is_its_answer(server, instance, message):
    good = {"@requestFormat": "tokenize", "content": "a"}
    wrong, right = server.ask("/predict", {"instances": [instance, good]}).json["predictions"]
    assert message in wrong["error"]["message"]
    assert right["tokens"]


@pytest.mark.parametrize("instances", [None, 5, [{}] * 129])
def test_instances_are_a_list_of_not_too_many(server, instances):
    reply = server.ask("/predict", {"instances": instances})
    assert (reply.status, reply.json["error"]["param"]) == (400, "instances")
