"""Formats of strings that a grammar holds to, as patterns. Names that JSON Schema does not define are notes."""

from __future__ import annotations

from functools import lru_cache

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.regex_dfa import whole
from llamakit.core.grammar.schema_strings import Strings

# RFC 3339
MONTHS = {29: r"02", 30: r"(?:0[469]|11)", 31: r"(?:0[13578]|1[02])"}
DAYS = {28: r"(?:0[1-9]|1[0-9]|2[0-8])", 30: r"(?:29|30)", 31: "31"}
LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
DATE = (
    rf"(?:[0-9]{{4}}-(?:(?:0[1-9]|1[0-2])-{DAYS[28]}|(?:{MONTHS[30]}|{MONTHS[31]})-{DAYS[30]}|{MONTHS[31]}-31)"
    rf"|{LEAP_YEAR}-02-29)"
)
OFFSET = r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
TIME = rf"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?{OFFSET}|23:59:60(?:\.[0-9]+)?(?:[Zz]|[+-]00:00))"

# RFC 3986, 5321, 1123, 4291
OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"{OCTET}(?:\.{OCTET}){{3}}"
H16 = r"[0-9A-Fa-f]{1,4}"
LS32 = rf"(?:{H16}:{H16}|{IPV4})"
IPV6 = (
    rf"(?:(?:{H16}:){{6}}{LS32}|::(?:{H16}:){{5}}{LS32}|(?:{H16})?::(?:{H16}:){{4}}{LS32}"
    rf"|(?:(?:{H16}:){{0,1}}{H16})?::(?:{H16}:){{3}}{LS32}|(?:(?:{H16}:){{0,2}}{H16})?::(?:{H16}:){{2}}{LS32}"
    rf"|(?:(?:{H16}:){{0,3}}{H16})?::{H16}:{LS32}|(?:(?:{H16}:){{0,4}}{H16})?::{LS32}"
    rf"|(?:(?:{H16}:){{0,5}}{H16})?::{H16}|(?:(?:{H16}:){{0,6}}{H16})?::)"
)
ALNUM, ALNUM_ = "[A-Za-z0-9]", "[A-Za-z0-9-]"
LABEL = (  # without hyphens in third and fourth place: that is Punycode, which no pattern can check
    rf"(?:{ALNUM}(?:{ALNUM_}{{0,2}}{ALNUM})?"
    rf"|{ALNUM}{ALNUM_}(?:{ALNUM}{ALNUM_}|-{ALNUM}){ALNUM_}{{0,58}}{ALNUM})"
)
HOSTNAME = rf"{LABEL}(?:\.{LABEL})*"
ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
EMAIL = rf"(?:{ATEXT}(?:\.{ATEXT})*|{QUOTED})@(?:{HOSTNAME}|\[(?:{IPV4}|IPv6:{IPV6})\])"
ENCODED = r"%[0-9A-Fa-f]{2}"
# RFC 3987: characters beyond ASCII, those of private use only in queries
BEYOND = r"\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF" + "".join(
    rf"\u{{{plane:X}0000}}-\u{{{plane:X}FFFD}}" if plane < 14 else r"\u{E1000}-\u{EFFFD}" for plane in range(1, 15)
)
PRIVATE = r"\uE000-\uF8FF\u{F0000}-\u{FFFFD}\u{100000}-\u{10FFFD}"


def resource(others: str = "", private: str = "") -> tuple[str, str]:
    """Patterns of a URI and of a relative reference; with other characters allowed (and in queries): of IRIs."""
    unreserved = rf"A-Za-z0-9._~!$&'()*+,;=\-{others}"
    pchar = rf"(?:[{unreserved}:@]|{ENCODED})"
    authority = (
        rf"(?:(?:[{unreserved}:]|{ENCODED})*@)?"
        rf"(?:\[(?:{IPV6}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:\-]+)\]|(?:[{unreserved}]|{ENCODED})*)(?::[0-9]*)?"
    )
    segments = rf"(?:/{pchar}*)*"
    tail = rf"(?:\?(?:{pchar}|[/?{private}])*)?(?:#(?:{pchar}|[/?])*)?"
    path = rf"//{authority}{segments}|/(?:{pchar}+{segments})?"
    no_scheme = rf"(?:[{unreserved}@]|{ENCODED})+"
    whole_one = rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{path}|{pchar}+{segments}|){tail}"
    return whole_one, rf"(?:{path}|{no_scheme}{segments}|){tail}"


URI, RELATIVE = resource()
IRI, RELATIVE_IRI = resource(BEYOND, PRIVATE)
# RFC 6570
LITERAL = rf"(?:[!#$&'(-;=?-\[\]_a-z~{BEYOND}{PRIVATE}]|{ENCODED})"
VARCHAR = rf"(?:[A-Za-z0-9_]|{ENCODED})"
VARSPEC = rf"{VARCHAR}(?:\.?{VARCHAR})*(?:\*|:[1-9][0-9]{{0,3}})?"
TEMPLATE = rf"(?:{LITERAL}|\{{[+#./;?&=,!@|]?{VARSPEC}(?:,{VARSPEC})*\}})*"
POINTER = r"(?:/(?:[^/~]|~[01])*)*"
HEX = "[0-9A-Fa-f]"
DURATION_TIME = r"T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
DURATION_DATE = r"(?:[0-9]+D|[0-9]+M(?:[0-9]+D)?|[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?)"

PATTERNS = {
    "date": DATE,
    "time": TIME,
    "date-time": rf"{DATE}[Tt]{TIME}",
    "duration": rf"P(?:{DURATION_DATE}(?:{DURATION_TIME})?|{DURATION_TIME}|[0-9]+W)",
    "email": EMAIL,
    "hostname": HOSTNAME,
    "ipv4": IPV4,
    "ipv6": IPV6,
    "uuid": f"{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}",
    "uri": URI,
    "uri-reference": f"(?:{URI}|{RELATIVE})",
    "uri-template": TEMPLATE,
    "iri": IRI,
    "iri-reference": f"(?:{IRI}|{RELATIVE_IRI})",
    "json-pointer": f"(?s:{POINTER})",
    "relative-json-pointer": f"(?s:(?:0|[1-9][0-9]*)(?:#|{POINTER}))",
}
MOST_CHARS = {"hostname": 253}
REFUSED = ("idn-email", "idn-hostname", "regex")  # of JSON Schema's own formats: no automaton can tell


@lru_cache(64)
def format_strings(name: str) -> Strings:
    """The strings of a format; all of them for a name that JSON Schema does not define.

    Raises GrammarError for one that it does and that cannot be held to.
    """
    if name in REFUSED:
        raise GrammarError(f"the format {name} is not supported")
    if name not in PATTERNS:
        return Strings()
    return Strings(patterns=frozenset([whole(PATTERNS[name])]), most=MOST_CHARS.get(name))
