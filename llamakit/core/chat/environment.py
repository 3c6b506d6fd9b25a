"""The Jinja environment of chat templates: Hugging Face's, in an immutable sandbox with a meter."""

from __future__ import annotations

from collections.abc import Callable, Sized
from functools import cache, update_wrapper, wraps
from sys import getsizeof
from typing import Any, TypeVar

from jinja2 import nodes, pass_context, pass_eval_context
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro, Undefined, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llamakit.core.chat import guards
from llamakit.core.chat.meter import CONTAINERS, LimitExceeded, Size, current_meter
from llamakit.core.chat.metered_code import MeteredCode
from llamakit.core.chat.template_globals import GLOBALS, tojson

T = TypeVar("T")

_STEPS_OF_A_COMPARISON = 128  # eight of the largest values' between two looks at the clock
_BYTES_PER_STEP = 1024
_MOST_ARGUMENTS = 1000
_COMPARING_TESTS = (
    *("eq", "==", "equalto", "ne", "!=", "in"),
    *("lt", "<", "lessthan", "le", "<=", "gt", ">", "greaterthan", "ge", ">="),
)


class Generation(Extension):
    """`{% generation %}` marks what the model is trained to say; for a prompt it changes nothing."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

    @pass_eval_context
    def _as_it_is(self, _: Any, caller: Macro) -> str:
        text: str = caller()
        return text


class SafeEnvironment(ImmutableSandboxedEnvironment):
    """Nothing here is slow, or grows, without the current meter."""

    code_generator_class = MeteredCode
    intercepted_binops = frozenset({"+", *guards.OPERATORS})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[Generation, LoopControlExtension],
            optimized=False,  # the optimizer would evaluate constants while it compiles
            finalize=written,
        )
        self.filters = {name: guarded_filter(name, filter) for name, filter in self.filters.items()}
        self.filters["tojson"] = guarded_filter("tojson", tojson)
        tests: dict[str, Any] = self.tests
        self.tests = tests | {name: comparing_test(tests[name]) for name in _COMPARING_TESTS}
        self.globals = dict(GLOBALS)

    # What compiled templates call.

    def enter(self, n_characters: int) -> None:
        current_meter().take(n_characters)

    def turn(self) -> bool:
        current_meter().step()
        return True

    def made(self, value: T) -> T:
        return current_meter().made(value)

    def compared(self, value: T) -> T:
        current_meter().step(_STEPS_OF_A_COMPARISON)
        return value

    def concatenate(self, context: Context, parts: tuple[Any, ...]) -> str:
        meter = current_meter()
        meter.require(sum(map(meter.weigh, parts)))
        return meter.made(markup_join(parts) if context.eval_ctx.autoescape else str_join(parts))

    def slice(self, value: Any, start: Any, stop: Any, step: Any) -> Any:
        part = value[start:stop:step]
        if isinstance(part, (list, tuple)):
            return self._made_of(part, current_meter().measure(value))
        return self.made(part)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        meter = current_meter()
        if operator in guards.OPERATORS:
            guards.OPERATORS[operator](meter, left, right)
        result = super().call_binop(context, operator, left, right)
        if operator == "+" and isinstance(result, (list, tuple)):
            one, other = meter.measure(left), meter.measure(right)
            return self._made_of(result, Size(one.weight + other.weight, max(one.depth, other.depth)))
        if operator == "*" and isinstance(result, (list, tuple)):
            items, n = (left, right) if isinstance(right, int) else (right, left)
            one = meter.measure(items)
            return self._made_of(result, Size(one.weight * max(n, 1), one.depth))
        return meter.made(result)

    def _made_of(self, value: T, size: Size) -> T:
        """Pay for a list that holds the items of others, without looking at each."""
        meter = current_meter()
        meter.take(getsizeof(value))
        meter.remember(value, size)
        return value

    def arguments(self, values: Any) -> tuple[Any, ...]:
        """What stands for `*values` in a call."""
        if n_items(values) > _MOST_ARGUMENTS:
            raise LimitExceeded(f"it calls with {n_items(values)} arguments")
        return tuple(values)

    def getitem(self, obj: Any, argument: Any) -> Any:
        # Filters come here for paths of any length; the hash of a tuple may take as long as a comparison.
        current_meter().step(_STEPS_OF_A_COMPARISON if isinstance(argument, tuple) else 1)
        return super().getitem(obj, argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        meter = current_meter()
        of, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(of, (str, bytes, *CONTAINERS)):
            meter.step(1 + meter.weigh(of) // _BYTES_PER_STEP)  # most methods look at all of it
        is_guarded = isinstance(of, (str, bytes)) and name in guards.METHODS
        if is_guarded:
            if name == "join" and args:
                args = (listed(args[0]), *args[1:])
            plain = {key: value for key, value in kwargs.items() if not key.startswith("_")}  # Jinja adds its own
            guards.METHODS[name](meter, of, *args, **plain)
        result = super().call(__context, __obj, *args, **kwargs)
        if is_guarded and isinstance(result, list):
            meter.take(guards.BYTES_OF_A_PART * len(result))
        return meter.made(result)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr not in guards.REFUSED_METHODS and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text, format = value.__self__, wrapped

        def bounded(*args: Any, **kwargs: Any) -> str:
            guards.str_format(current_meter(), text, args, kwargs)
            return format(*args, **kwargs)

        return update_wrapper(bounded, value)


@pass_context  # without it, Jinja would write constants while it compiles
def written(_: Context, value: Any) -> Any:
    """What `{{ value }}` prints, on its way to the text."""
    meter = current_meter()
    meter.take(meter.weigh(value))
    return value


def guarded_filter(name: str, filter: Callable[..., Any]) -> Callable[..., Any]:
    guard = guards.FILTERS.get(name)
    first = 1 if hasattr(filter, "jinja_pass_arg") else 0  # after the context that Jinja passes

    @wraps(filter)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        meter = current_meter()
        if name in guards.LISTING and not isinstance(args[first], CONTAINERS):
            args = (*args[:first], listed(args[first]), *args[first + 1 :])
        if guard is not None:
            guard(meter, *args[first:], **kwargs)
        meter.step(1 + n_items(args[first]) // 64)
        return meter.made(filter(*args, **kwargs))

    return guarded


def listed(value: Any) -> list[Any]:
    """The items of a text, a range or a generator."""
    current_meter().require(8 * n_items(value))
    return list(value)


def n_items(value: Any) -> int:
    return len(value) if isinstance(value, Sized) and not isinstance(value, Undefined) else 0


def comparing_test(test: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(test)
    def compared(*args: Any, **kwargs: Any) -> Any:
        current_meter().step(_STEPS_OF_A_COMPARISON)
        return test(*args, **kwargs)

    return compared


@cache
def safe_environment() -> SafeEnvironment:
    """The environment that all chat templates share."""
    return SafeEnvironment()
