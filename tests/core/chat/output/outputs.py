"""Outputs of models in every format, with the message that each is: one table that several tests go through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llamakit.core.chat.output.tools import Tool


def tool(name: str, required: tuple[str, ...] = (), **properties: Any) -> Tool:
    return Tool(name, "", {"type": "object", "properties": properties, "required": list(required)})


STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
BOOLEAN = {"type": "boolean"}
TODO = {"type": "object", "properties": {"item": STRING, "done": BOOLEAN}}
TOOLS = (
    tool("get_time", ("city",), city=STRING),
    tool("add", ("a",), a=INTEGER, b=NUMBER),
    tool("python", ("code",), code=STRING),
    tool("note", ("text",), text={"type": ["string", "null"]}, tags={"type": "array", "items": STRING}, on=BOOLEAN),
    tool("plan", todos={"type": "array", "items": TODO}),
    tool("nothing"),
    tool("web_search", ("query",), query=STRING),
)


@dataclass(frozen=True)
class Case:
    """calls: of each, the name, the arguments as JSON values, and the id if the model gives it."""

    form: str
    text: str
    content: str = ""
    reasoning: str = ""
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    starts_thinking: bool = False
    is_loose: bool = False  # understood, but no grammar lets a model write it so


PARIS = ("get_time", {"city": "Paris"})
ADD = ("add", {"a": 1, "b": 2.5})
HI = "Hello, world!\nWhat's up?"

CASES = [
    Case("content-only", "Hello, world!\nWhat's up?", content=HI),
    Case("content-only", "  spaces stay \n", content="  spaces stay \n"),
    Case("content-only", "<think>\nI think\n</think>\n\nHello, world!\nWhat's up?", content=HI, reasoning="I think"),
    Case(
        "content-only",
        "I think</think>Hello, world!\nWhat's up?",
        content=HI,
        reasoning="I think",
        starts_thinking=True,
    ),
    Case("content-only", "</think>\n\nHello, world!\nWhat's up?", content=HI),
    Case("content-only", "<think>never closed ", reasoning="never closed"),
    Case("content-only", "say <think> in the middle", content="say <think> in the middle"),
    Case("hermes", '<tool_call>\n{"name": "get_time", "arguments": {"city": "Paris"}}\n</tool_call>', calls=[PARIS]),
    Case(
        "hermes",
        'Hello, world!\nWhat\'s up?\n<tool_call>{"name":"get_time","arguments":{"city":"Paris"}}</tool_call>',
        content=HI,
        calls=[PARIS],
    ),
    Case(
        "hermes",
        "<think>\nhm\n</think>\n\n<tool_call>\n"
        '{"name": "get_time", "arguments": {"city": "Paris"}}\n</tool_call>\n<tool_call>\n'
        '{"arguments": {"a": 1, "b": 2.5}, "name": "add"}\n</tool_call>',
        reasoning="hm",
        calls=[PARIS, ADD],
    ),
    Case("hermes", '<tool_call>{"name": "nothing"}</tool_call>', calls=[("nothing", {})], is_loose=True),
    Case(
        "hermes",
        '<tool_call>{"name": "nothing", "arguments": null}</tool_call>',
        calls=[("nothing", {})],
        is_loose=True,
    ),
    Case(
        "hermes",
        '<tool_call>{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": 2.5}"}</tool_call>',
        calls=[ADD],
        is_loose=True,
    ),
    Case(
        "hermes",
        '<tool_call>{"type": "function", "function": {"name": "get_time", "arguments": {"city": "Paris"}}}</tool_call>',
        calls=[PARIS],
        is_loose=True,
    ),
    Case(
        "hermes",
        '<tool_call>{"name": "python", "arguments": {"code": "if x {\\n \\"}</tool_call>\\" \\u00'
        'e9 é 🦙"}}</tool_call> ok',
        content=" ok",
        calls=[("python", {"code": 'if x {\n "}</tool_call>" é é 🦙'})],
    ),
    Case("hermes", "a <tool_call> b", content="a <tool_call> b"),
    Case("hermes", '<tool_call>{"name": 3}</tool_call>', content='<tool_call>{"name": 3}</tool_call>'),
    Case("hermes", "<tool_call>\n{'name': 'x'}</tool_call>", content="<tool_call>\n{'name': 'x'}</tool_call>"),
    Case(
        "hermes",
        '<think>I could write <tool_call>{"name": "nothing"}</tool_call></think>Hello, world!\nWhat\'s up?',
        content=HI,
        reasoning='I could write <tool_call>{"name": "nothing"}</tool_call>',
    ),
    Case(
        "mistral-nemo",
        '[TOOL_CALLS][{"name": "get_time", "arguments": {"city": "Paris"}, "id": "123456789"}'
        ', {"name": "add", "arguments": {"a": 1, "b": 2.5}, "id": "123456780"}]',
        calls=[(*PARIS, "123456789"), (*ADD, "123456780")],
    ),
    Case(
        "mistral-nemo",
        'Ok.[TOOL_CALLS] [{"name": "nothing", "arguments": {}}]',
        content="Ok.",
        calls=[("nothing", {})],
        is_loose=True,
    ),
    Case(
        "mistral-nemo",
        '[TOOL_CALLS][{"name": "get_time", "arguments": {"city": "Paris"} oops',
        content="oops",
        calls=[PARIS],
        is_loose=True,
    ),
    Case("firefunction", ' functools[{"name": "get_time", "arguments": {"city": "Paris"}}]', calls=[PARIS]),
    Case("firefunction", 'functools[{"name": "get_time", "arguments": {"city": "Paris"}}]', calls=[PARIS]),
    Case("granite", "<think>hm</think>\n<response>Hi</response>", content="Hi", reasoning="hm"),
    Case("granite", "As <response>Hi</response>", content="As <response>Hi</response>"),
    Case("granite", '<|tool_call|>[{"name": "get_time", "arguments": {"city": "Paris"}}]', calls=[PARIS]),
    Case("nemotron-nano", '<TOOLCALL>[{"name": "add", "arguments": {"a": 1, "b": 2.5}}]</TOOLCALL>\n', calls=[ADD]),
    Case("apriel", '<tool_calls>[{"name": "add", "arguments": {"a": 1, "b": 2.5}}]</tool_calls>', calls=[ADD]),
    Case(
        "minimax-m1",
        '<tool_calls>\n{"name": "add", "arguments": {"a": 1, "b": 2.5}}\n'
        '{"name": "get_time", "arguments": {"city": "Paris"}}\n</tool_calls>',
        calls=[ADD, PARIS],
    ),
    Case(
        "apertus",
        '<|tools_prefix|>[{"get_time": {"city": "Paris"}}, {"nothing": {}}]<|tools_suffix|>',
        calls=[PARIS, ("nothing", {})],
    ),
    Case(
        "command-r7b",
        "<|START_THINKING|>I plan<|END_THINKING|><|START_ACTION|>[\n"
        '    {"tool_call_id": "0", "tool_name": "get_time", "parameters": {"city": "Paris"}},'
        '\n    {"tool_call_id": "1", "tool_name": "nothing", "parameters": {}}\n'
        "]<|END_ACTION|>",
        reasoning="I plan",
        calls=[(*PARIS, "0"), ("nothing", {}, "1")],
    ),
    Case(
        "command-r7b",
        "<|START_THINKING|>I plan<|END_THINKING|><|START_RESPONSE|>Hello, world!\nWhat's up?<|END_RESPONSE|>",
        content=HI,
        reasoning="I plan",
    ),
    Case(
        "cohere2moe",
        "I plan<|END_THINKING|><|START_TEXT|>Hello, world!\nWhat's up?<|END_TEXT|>",
        content=HI,
        reasoning="I plan",
        starts_thinking=True,
    ),
    Case(
        "cohere2moe",
        "<|END_THINKING|><|START_ACTION|>[\n"
        ' {"tool_call_id": "0", "tool_name": "add", "parameters": {"a": 1, "b": 2.5}}\n'
        "]<|END_ACTION|>",
        calls=[(*ADD, "0")],
        starts_thinking=True,
    ),
    Case(
        "command-r-plus",
        'Yes.\nAction:\n```json\n[\n    {"tool_name": "add", "parameters": {"a": 1, "b": 2.5}}\n]\n```',
        content="Yes.",
        calls=[ADD],
    ),
    Case(
        "gigachat-v3",
        "Hello, world!\nWhat's up?<|message_sep|>\n\nfunction call<|role_sep|>\n"
        '{"name": "add", "arguments": {"a": 1, "b": 2.5}}',
        content=HI,
        calls=[ADD],
    ),
    Case(
        "gigachat-v3.1",
        'Hello, world!\nWhat\'s up?<|function_call|>{"name": "add", "arguments": {"a": 1, "b": 2.5}}',
        content=HI,
        calls=[ADD],
    ),
    Case("llama3", '{"name": "get_time", "parameters": {"city": "Paris"}}', calls=[PARIS]),
    Case("llama3", '{"type": "function", "name": "get_time", "parameters": {"city": "Paris"}}', calls=[PARIS]),
    Case("llama3", '{"name": "unknown", "parameters": {}}', content='{"name": "unknown", "parameters": {}}'),
    Case("llama3", '{"a": {"name": "Ada"}}', content='{"a": {"name": "Ada"}}'),
    Case("llama3", '<|python_tag|>web_search.call(query="ll\\"ama")', calls=[("web_search", {"query": 'll"ama'})]),
    Case(
        "llama3", "<|python_tag|>print('hi')\nx = 1", calls=[("python", {"code": "print('hi')\nx = 1"})], is_loose=True
    ),
    Case("llama3", '<|python_tag|>{"name": "get_time", "parameters": {"city": "Paris"}}', calls=[PARIS], is_loose=True),
    Case(
        "generic", '{"tool_call": {"name": "get_time", "arguments": {"city": "Paris"}}}', calls=[PARIS], is_loose=True
    ),
    Case(
        "generic",
        "{\n"
        ' "tool_calls": [{"id": "ab12", "name": "get_time", "arguments": {"city": "Paris"}}, '
        '{"name": "add", "arguments": {"a": 1, "b": 2.5}, "id": "ab13"}]}',
        calls=[(*PARIS, "ab12"), (*ADD, "ab13")],
        is_loose=True,
    ),
    Case("generic", '{"response": "Say \\"hi\\"\\n \\ud83e\\udd99"}', content='Say "hi"\n 🦙'),
    Case("generic", '{"response": {"a": [1]}}', content='{"a": [1]}'),
    Case("generic", "just text", content="just text"),
    Case("generic", '{"other": 1}', content='{"other": 1}'),
    Case(
        "functionary-v3.1",
        '<function=get_time>{"city": "Paris"}</function><function=nothing>{}</function>',
        calls=[PARIS, ("nothing", {})],
    ),
    Case("functionary-v3.1", "<|python_tag|>print(1)", calls=[("python", {"code": "print(1)"})]),
    Case("functionary-v3.2", "all\nHello, world!\nWhat's up?", content=HI),
    Case("functionary-v3.2", 'get_time\n{"city": "Paris"}', calls=[PARIS]),
    Case(
        "functionary-v3.2",
        'all\nOne moment.>>>get_time\n{"city": "Paris"}\n>>>add\n{"a": 1, "b": 2.5}',
        content="One moment.",
        calls=[PARIS, ADD],
    ),
    Case("functionary-v3.2", "no recipient", content="no recipient"),
    Case(
        "ministral",
        '[THINK]hm[/THINK][TOOL_CALLS]get_time[ARGS]{"city": "Paris"}[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2.5}',
        reasoning="hm",
        calls=[PARIS, ADD],
    ),
    Case(
        "mistral-small", '[TOOL_CALLS]get_time[CALL_ID]123456789[ARGS]{"city": "Paris"}', calls=[(*PARIS, "123456789")]
    ),
    Case(
        "kimi-k2",
        "<think>both<|tool_calls_section_begin|><|tool_call_begin|>functions.get_time:0<|tool"
        '_call_argument_begin|>{"city": "Paris"}<|tool_call_end|><|tool_call_begin|>functions'
        '.add:1<|tool_call_argument_begin|>{"a": 1, "b": 2.5}<|tool_call_end|><|tool_calls_se'
        "ction_end|>",
        reasoning="both",
        calls=[(*PARIS, "functions.get_time:0"), (*ADD, "functions.add:1")],
    ),
    Case(
        "kimi-k2",
        '<|tool_call_begin|>functions.get_time:0<|tool_call_argument_begin|>{"city": "Paris"}',
        calls=[(*PARIS, "functions.get_time:0")],
        is_loose=True,
    ),
    Case(
        "deepseek-r1",
        "hm</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n"
        '```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜>\n'
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n"
        '{"a": 1, "b": 2.5}```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        reasoning="hm",
        calls=[PARIS, ADD],
        starts_thinking=True,
    ),
    Case(
        "deepseek-r1",
        "<｜tool_calls_begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>nothing\n```json\n{}\n"
        "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        calls=[("nothing", {})],
    ),
    Case(
        "deepseek-v3.1",
        'Ok.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{"city": "Paris"}<｜too'
        'l▁call▁end｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1, "b": 2.5}<｜tool▁call▁end｜><｜t'
        "ool▁calls▁end｜>",
        content="Ok.",
        calls=[PARIS, ADD],
    ),
    Case(
        "solar",
        "<|think|>hm<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>abc123def0<|too"
        'l_call:name|>get_time<|tool_call:args|>{"city": "Paris"}<|tool_call:end|>',
        reasoning="hm",
        calls=[(*PARIS, "abc123def0")],
        is_loose=True,
    ),
    Case(
        "solar", "<|think|>hm<|end|><|begin|>assistant<|content|>Hello, world!\nWhat's up?", content=HI, reasoning="hm"
    ),
    Case(
        "qwen3-coder",
        "hm\n</think>\n\nLet me see.\n<tool_call>\n<function=get_time>\n<parameter=city>\n"
        "Paris\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=add>\n"
        "<parameter=a>\n1\n</parameter>\n<parameter=b>\n2.5\n</parameter>\n</function>\n"
        "</tool_call>",
        content="Let me see.",
        reasoning="hm",
        calls=[PARIS, ADD],
        starts_thinking=True,
    ),
    Case(
        "qwen3-coder",
        "still thinking\n<tool_call>\n<function=python>\n<parameter=code>\n  if a < b:\n"
        "    print('</para')\n\n</parameter>\n</function>\n</tool_call>",
        reasoning="still thinking",
        calls=[("python", {"code": "  if a < b:\n    print('</para')\n"})],
        starts_thinking=True,
    ),
    Case(
        "qwen3-coder",
        "<function=get_time>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        calls=[PARIS],
    ),
    Case("qwen3-coder", "#include <function=x>", content="#include <function=x>"),
    Case(
        "qwen3-coder", "<tool_call><function=nothing>\n</function></tool_call>", calls=[("nothing", {})], is_loose=True
    ),
    Case(
        "qwen3-coder",
        "<tool_call>\n<function=note>\n<parameter=text>\nnull\n</parameter>\n"
        '<parameter=tags>\n["</parameter>", "b"]\n</parameter>\n<parameter=on>\ntrue\n'
        "</parameter>\n</function>\n</tool_call>",
        calls=[("note", {"text": None, "tags": ["</parameter>", "b"], "on": True})],
    ),
    Case(
        "qwen3-coder",
        "<tool_call>\n<function=note>\n<parameter=text>\n123 Main St\n</parameter>\n</function>\n</tool_call>",
        calls=[("note", {"text": "123 Main St"})],
    ),
    Case(
        "qwen3-coder",
        "<tool_call>\n<function=get_time>\n<parameter=city>\n42\n</parameter>\n</function>\n</tool_call>",
        calls=[("get_time", {"city": "42"})],
    ),
    Case(
        "qwen3-coder",
        "<tool_call>\n<function=add>\n<parameter=a>\nmany\n</parameter>\n</function>\n</tool_call>",
        calls=[("add", {"a": "many"})],
        is_loose=True,
    ),
    Case(
        "qwen3-coder",
        "<tool_call>\n<function=other>\n<parameter=x>\n42\n</parameter>\n<parameter=y>\nab\n"
        "</parameter>\n</function>\n</tool_call>",
        calls=[("other", {"x": 42, "y": "ab"})],
        is_loose=True,
    ),
    Case(
        "seed-oss",
        "<seed:think>hm</seed:think>\n<seed:tool_call>\n<function=python>\n"
        "<parameter=code>a\nb\n</parameter>\n</function>\n</seed:tool_call>",
        reasoning="hm",
        calls=[("python", {"code": "a\nb\n"})],
    ),
    Case(
        "minimax-m2",
        'hm\n</think>\n\n<minimax:tool_call>\n<invoke name="get_time">\n'
        '<parameter name="city">Paris</parameter>\n</invoke>\n<invoke name="add">\n'
        '<parameter name="a">1</parameter>\n<parameter name="b">2.5</parameter>\n</invoke>\n'
        "</minimax:tool_call>",
        reasoning="hm",
        calls=[PARIS, ADD],
        starts_thinking=True,
    ),
    Case(
        "deepseek-v3.2",
        '<think>hm</think>\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_time">\n'
        '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        '</｜DSML｜invoke>\n<｜DSML｜invoke name="add">\n'
        '<｜DSML｜parameter name="a" string="false">1</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="b" string="false">2.5</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        "</｜DSML｜function_calls>",
        reasoning="hm",
        calls=[PARIS, ADD],
    ),
    Case(
        "deepseek-v4",
        'Time?\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name="get_time">\n'
        '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        reasoning="Time?",
        calls=[PARIS],
        starts_thinking=True,
    ),
    Case(
        "minicpm5",
        '<function name="python"><param name="code"><![CDATA[<a>hi</a> </param>]]></param></f'
        'unction>\n<function name="get_time"><param name="city">Paris</param></function>',
        calls=[("python", {"code": "<a>hi</a> </param>"}), PARIS],
    ),
    Case(
        "glm-4.5",
        "\n<think>hm</think>\n<tool_call>get_time\n<arg_key>city</arg_key>\n"
        "<arg_value>Paris</arg_value>\n</tool_call>\n<tool_call>add\n<arg_key>a</arg_key>\n"
        "<arg_value>1</arg_value>\n<arg_key>b</arg_key>\n<arg_value>2.5</arg_value>\n"
        "</tool_call>",
        reasoning="hm",
        calls=[PARIS, ADD],
    ),
    Case(
        "glm-4.7",
        "hm</think><tool_call>get_time<arg_key>city</arg_key><arg_value>Paris</arg_value></to"
        "ol_call><tool_call>nothing</tool_call>",
        reasoning="hm",
        calls=[PARIS, ("nothing", {})],
        starts_thinking=True,
    ),
    Case(
        "ling3",
        "I check.\n<tool_call>get_time\n<arg_key>city</arg_key>\n"
        "<arg_value>a </think> <tool_call> b</arg_value>\n</tool_call>\nDone.<|role_end|>",
        content="\nDone.",
        reasoning="I check.",
        calls=[("get_time", {"city": "a </think> <tool_call> b"})],
        starts_thinking=True,
    ),
    Case(
        "hunyuan-3",
        "<think:opensource>hm</think:opensource><tool_calls:opensource>\n"
        "<tool_call:opensource>get_time<tool_sep:opensource>\n"
        "<arg_key:opensource>city</arg_key:opensource>\n"
        "<arg_value:opensource>Paris</arg_value:opensource>\n</tool_call:opensource>\n"
        "</tool_calls:opensource>",
        reasoning="hm",
        calls=[PARIS],
    ),
    Case(
        "kimi-k3",
        "hm<|close|>think<|sep|><|open|>response<|sep|>Ok.<|close|>response<|sep|><|open|>too"
        'ls<|sep|><|open|>call tool="get_time" index="1"<|sep|><|open|>argument key="city" ty'
        'pe="string"<|sep|>Paris<|close|>argument<|sep|><|close|>call<|sep|><|open|>call tool'
        '="add" index="2"<|sep|><|open|>argument key="a" type="number"<|sep|>1<|close|>argume'
        'nt<|sep|><|open|>argument key="b" type="number"<|sep|>2.5<|close|>argument<|sep|><|c'
        "lose|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|><|end_of_msg|>",
        content="Ok.",
        reasoning="hm",
        calls=[PARIS, ADD],
        starts_thinking=True,
    ),
    Case(
        "minimax-m3",
        "<mm:think>hm</mm:think>Ok.]<]minimax[>[<tool_call>\n"
        ']<]minimax[>[<invoke name="get_time">]<]minimax[>[<city>Paris]<]minimax[>[</city>]<]'
        "minimax[>[</invoke>\n"
        ']<]minimax[>[<invoke name="plan">]<]minimax[>[<todos>]<]minimax[>[<item>]<]minimax[>'
        "[<item>milk]<]minimax[>[</item>]<]minimax[>[<done>false]<]minimax[>[</done>]<]minima"
        "x[>[</item>]<]minimax[>[<item>]<]minimax[>[<item>walk]<]minimax[>[</item>]<]minimax["
        ">[</item>]<]minimax[>[</todos>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>",
        content="Ok.",
        reasoning="hm",
        calls=[PARIS, ("plan", {"todos": [{"item": "milk", "done": False}, {"item": "walk"}]})],
    ),
    Case(
        "minimax-m3",
        "</mm:think>]<]minimax[>[<tool_call>\n"
        ']<]minimax[>[<invoke name="nothing">]<]minimax[>[</invoke>\n'
        ']<]minimax[>[<invoke name="plan">]<]minimax[>[<todos>]<]minimax[>[</todos>]<]minimax'
        "[>[</invoke>\n]<]minimax[>[</tool_call>",
        calls=[("nothing", {}), ("plan", {"todos": []})],
    ),
    Case(
        "gemma4",
        "<|channel>thought\n"
        'hm<channel|>Ok.<|tool_call>call:get_time{city:<|"|>Paris<|"|>}<tool_call|><|tool_cal'
        'l>call:plan{todos:[{item:<|"|>a "quoted" }<|"|>,done:true}]}<tool_call|>',
        content="Ok.",
        reasoning="hm",
        calls=[PARIS, ("plan", {"todos": [{"item": 'a "quoted" }', "done": True}]})],
    ),
    Case(
        "gemma4",
        "<|channel><|channel>thought\n<channel|>Hello, world!\nWhat's up?<|channel>thought\n<channel|><channel|>",
        content=HI,
    ),
    Case(
        "lfm2",
        "Ok.<|tool_call_start|>[get_time(city='Paris'), add(a=1, b=2.5), nothing()]<|tool_call_end|>",
        content="Ok.",
        calls=[PARIS, ADD, ("nothing", {})],
        is_loose=True,
    ),
    Case(
        "lfm2",
        '<|tool_call_start|>[note(text=None, tags=["a\\"", \'it\\\'s\'], on=True), plan(todos=[{"i'
        'tem": "x", "done": false}])]<|tool_call_end|>',
        calls=[
            ("note", {"text": None, "tags": ['a"', "it's"], "on": True}),
            ("plan", {"todos": [{"item": "x", "done": False}]}),
        ],
        is_loose=True,
    ),
    Case("gpt-oss", "<|channel|>final<|message|>Hello, world!\nWhat's up?", content=HI),
    Case(
        "gpt-oss",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>"
        "Hello, world!\nWhat's up?<|return|>",
        content=HI,
        reasoning="hm",
    ),
    Case(
        "gpt-oss",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=fu"
        'nctions.get_time <|constrain|>json<|message|>{"city": "Paris"}<|call|>',
        reasoning="hm",
        calls=[PARIS],
    ),
    Case("gpt-oss", ' to=functions.get_time<|channel|>analysis<|message|>{"city": "Paris"}', calls=[PARIS]),
    Case(
        "gpt-oss",
        "<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant to=functions.a"
        'dd<|channel|>commentary json<|message|>{"a": 1, "b": 2.5}',
        content="I will look.",
        calls=[ADD],
    ),
    Case(
        "gpt-oss",
        "<|channel|>commentary to=assistant<|channel|>analysis<|message|>hm<|end|><|start|>as"
        "sistant<|channel|>final<|message|>Hello, world!\nWhat's up?",
        content=HI,
        reasoning="hm",
    ),
    Case(
        "gpt-oss",
        "<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>analysis<|message|>two<|end|>"
        "<|start|>assistant to=container.exec<|channel|>commentary<|message|>ls<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Hi",
        content="Hi",
        reasoning="one\n\ntwo\n\nls",
    ),
    Case("gpt-oss", "plain text", content="plain text"),
    Case(
        "muse-glimmer",
        " to=self<|message|>hm<|eom|><|start|>assistant to=user<|message|>Ok.<|eom|><|start|>"
        "assistant to=get_time<|message|><atem:function_calls>\n"
        '<atem:invoke name="get_time">\n<atem:parameter name="city">Paris</atem:parameter>\n'
        "</atem:invoke>\n</atem:function_calls>",
        content="Ok.",
        reasoning="hm",
        calls=[PARIS],
    ),
    Case(
        "muse-glimmer",
        " to=user<|message|>Write <atem:function_calls> so.<|eot|>",
        content="Write <atem:function_calls> so.",
    ),
]
