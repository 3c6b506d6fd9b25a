"""Templates that would run for ever, fill the memory, or get at the program (fault 22)."""

from __future__ import annotations


def repeated(change: str, start: str, end: str = "{{ ns.x|length }}") -> str:
    """A template that changes `ns.x` ninety times."""
    return (
        f"{{% set ns = namespace(x={start}) %}}{{% for i in range(90) %}}{{% set ns.x = {change} %}}{{% endfor %}}{end}"
    )


ENDLESS = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops over what a condition leaves out": "{% for a in range(99999) %}"
    "{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "recursive loops over the same": "{% for a in range(99999) %}"
    "{% for b in range(99999) if false recursive %}{% endfor %}{% endfor %}",
    "macros that call themselves twice": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}"
    "{{ f(60) }}",
    "loops that recurse twice": "{% for i in [1, 1] recursive %}"
    "{% if loop.depth < 60 %}{{ loop([1, 1]) }}{% endif %}{% endfor %}",
    "comparisons": "{% set a = range(99999)|list %}{% set b = range(99999)|list %}" + "{{ a == b }}" * 999,
    "searches in a long text": "{% set s = 'a' * 9999999 %}" + "{{ 'ab' in s }}" * 500,
    "counts in a long text": "{% set s = 'a' * 9999999 %}" + "{{ s.count('ab') }}" * 500,
    "long paths": "{% set ns = namespace() %}{% set ns.a = ns %}"
    "{{ ([ns] * 99999)|map(attribute='" + "a." * 9999 + "a')|list|length }}",
    "filters of a long list": "{% set a = range(99999)|list %}" + "{{ a|map('string')|join|length }}" * 99,
    "tests of a long list": "{% set a = range(99999)|list %}" + "{{ a|select('eq', 'x')|list }}" * 99,
}

HUGE = {
    "range": "{% for i in range(10**9) %}x{% endfor %}",
    "range below zero": "{% for i in range(0, -(10**30), -1) %}x{% endfor %}",
    "text times number": "{{ 'a' * 10**9 }}",
    "number times text": "{{ 10**9 * 'a' }}",
    "list times number": "{{ ([0] * 10**9)|length }}",
    "power": "{{ 10**9999 }}",
    "products": repeated("ns.x * ns.x", "3", "{{ ns.x }}"),
    "text that doubles by ~": repeated("ns.x ~ ns.x", "'a'"),
    "text that doubles by +": repeated("ns.x + ns.x", "'a'"),
    "text that doubles in a block": "{% set ns = namespace(x='a') %}{% for i in range(90) %}"
    "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "text that doubles in a macro": "{% macro f(x) %}{{ x }}{{ x }}{% endmacro %}" + repeated("f(ns.x)", "'a'"),
    "filter replace": repeated("ns.x|replace('a', ns.x)", "'aa'"),
    "method replace": repeated("ns.x.replace('a', ns.x)", "'aa'"),
    "filter join": repeated("ns.x|join(ns.x)", "'aa'"),
    "method join": repeated("ns.x.join(ns.x)", "'aa'"),
    "list that doubles": repeated("ns.x + ns.x", "[1]"),
    "lists of lists, printed": repeated("[ns.x, ns.x]", "[1]", "{{ ns.x }}"),
    "lists of lists, as JSON": repeated("[ns.x, ns.x]", "[1]", "{{ ns.x|tojson }}"),
    "tuples of tuples, as keys": repeated("(ns.x, ns.x)", "(1,)", "{{ {ns.x: 1} }}"),
    "dicts of dicts": repeated("{'a': ns.x, 'b': ns.x}", "{}", "{{ ns.x|string }}"),
    "dicts made by dict()": repeated("dict(a=ns.x, b=ns.x)", "{}", "{{ ns.x|string }}"),
    "dicts' items": repeated("{'a': ns.x, 'b': ns.x}.items()", "{}", "{{ ns.x|string }}"),
    "list of long texts": "{% set ns = namespace(l=[]) %}"
    "{% for i in range(99999) %}{% set ns.l = ns.l + ['a' * 999999 ~ i] %}{% endfor %}",
    "list of long lists": "{% set ns = namespace(l=[]) %}"
    "{% for i in range(99999) %}{% set ns.l = ns.l + [[0] * 9999] %}{% endfor %}",
    "list of split texts": "{% set ns = namespace(l=[]) %}{% set s = 'ab ' * 99999 %}"
    "{% for i in range(9999) %}{% set ns.l = ns.l + [s.split()] %}{% endfor %}",
    "long text of its own": "{% for i in range(99999) %}" + "a" * 49999 + "{% endfor %}",
    "long text of its own, kept": "{% set x %}{% for i in range(99999) %}" + "a" * 49999 + "{% endfor %}{% endset %}",
    "long text of its own, within": "{% set x %}{% for i in range(99999) %}{% autoescape false %}"
    + "a" * 49999
    + "{% endautoescape %}{% endfor %}{% endset %}",
    "filter center": "{{ 'a'|center(10**9) }}",
    "method center": "{{ 'a'.center(10**9) }}",
    "constant in a condition": "{% if 'a'|center(10**9) %}{% endif %}",
    "constant that is compiled": "{% autoescape 'a'|center(10**9) %}{% endautoescape %}",
    "ljust": "{{ 'a'.ljust(10**9) }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "bytes": "{{ 'a'.encode().ljust(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "indent": "{{ 'a\nb'|indent(10**9) }}",
    "indent by a text": "{{ ('a\n' * 9999)|indent('b' * 99999) }}",
    "percent": "{{ '%999999999d' % 1 }}",
    "percent with a star": "{{ '%*d' % (999999999, 1) }}",
    "filter format": "{{ '%999999999d'|format(1) }}",
    "method format": "{{ '{:999999999}'.format(1) }}",
    "format with a field in a field": "{{ '{:{}}'.format(1, 999999999) }}",
    "format with many fields": "{{ ('{0}' * 99999).format('a' * 99999) }}",
    "format_map": "{{ '{a:999999999}'.format_map({'a': 1}) }}",
    "round": "{{ 1|round(-999999999) }}",
    "batch": "{{ [1]|batch(10**9, 0)|list|length }}",
    "slice": "{{ [1]|slice(10**9)|list|length }}",
    "sum of lists": "{{ ([[1] * 999] * 999)|sum(start=[])|length }}",
    "JSON with an indent": "{{ [1]|tojson(indent=10**9) }}",
    "deep JSON with an indent": repeated("[ns.x]", "[]", "{{ ([ns.x] * 99999)|tojson(indent=999) }}"),
    "JSON with separators": "{{ range(99999)|list|tojson(separators=('a' * 9999, 'b')) }}",
    "time": "{{ strftime_now('%999999999d') }}",
    "sorting by many attributes": "{{ ([{}] * 99999)|sort(attribute='" + "a," * 9999 + "a')|length }}",
    "words": "{{ ('a ' * 9999999)|wordcount }}",
    "words as in a title": "{{ ('a-' * 9999999)|title|length }}",
    "many lines, indented": "{{ ('\n' * 29999999)|indent|length }}",
    "many lines": "{{ ('\r' * 29999999).splitlines()|length }}",
    "characters as a list": "{{ ('a' * 29999999)|list|length }}",
    "characters, joined": "{{ ('a' * 29999999)|join|length }}",
    "characters, joined by a method": "{{ ''.join('a' * 29999999)|length }}",
    "characters as arguments": "{{ range(*('a' * 29999999)) }}",
    "deep tuples": "{% set ns = namespace(x=(1,)) %}{% for i in range(99999) %}{% set ns.x = (ns.x,) %}{% endfor %}"
    "{{ {ns.x: 1} }}",
    "slow filter": "{{ (')' * 99999)|urlize }}",
    "digits": "{{ ('9' * 99999)|int }}",
    "encoding": "{{ ('a' * 9999).encode('punycode') }}",
    "decoding": "{{ ('a' * 9999).encode().decode('punycode') }}",
}

FORBIDDEN = {
    "globals": "{{ cycler.__init__.__globals__ }}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "classes by format": "{{ '{0.__class__.__mro__}'.format('') }}",
    "change of the messages": "{{ messages.append(1) }}",
    "change of a message": "{{ messages[0].update({'a': 1}) }}",
    "name of a namespace": "{% set ns = namespace() %}{% set ns.__init__ = 1 %}",
    "name of a new namespace": "{{ namespace(__init__=1) }}",
    "itself": "{{ self.__init__.__globals__ }}",
    "translate": "{{ 'a'.translate({97: 'b'}) }}",
    "numbers as bytes": "{{ (1).to_bytes(10**9, 'big') }}",
}

NOTHING = {  # of what is forbidden comes into the text
    "attribute by item": "{{ ''['__class__'] }}",
    "attribute by filter": "{{ ''|attr('__class__') }}",
    "attribute by map": "{{ ['']|map(attribute='__class__')|list }}",
    "format by filter": "{{ (''|attr('format'))('{0.__class__}') }}",
    "function's globals": "{{ raise_exception.__globals__ }}",
    "environment": "{{ environment }}{{ context }}",
}

UNREADABLE = {
    "syntax": ("line\n{% if %}", "is no Jinja template: line 2"),
    "unknown tag": ("{% do x %}", "is no Jinja template: line 1"),
    "unclosed": ("{% for x in y %}", "is no Jinja template: line 1"),
    "include": ("{% include '/etc/passwd' %}", "fails: line 1"),
    "import": ("{% import 'x' as y %}", "fails: line 1"),
    "brackets": ("{{ " + "[" * 5000 + "]" * 5000 + " }}", "nested too deep"),
    "sums": ("{{ " + "1+" * 5000 + "1 }}", "nested too deep"),
    "conditions": ("{% if 1 %}" * 3000 + "{% endif %}" * 3000, "nested too deep"),
    "macro without end": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deep"),
    "loops": ("{% for a in [1] %}" * 30 + "{% endfor %}" * 30, "fails"),
    "digits": ("{{ " + "9" * 9999 + " }}", "fails"),
    "undefined": ("\n\n{{ a.b }}", "fails: line 3: 'a' is undefined"),
    "unknown filter": ("{{ 1|f }}", "line 1: No filter named 'f'"),
    "50 MB": ("a" * 50_000_000, "has 50000000 characters, more than 65536"),
}
