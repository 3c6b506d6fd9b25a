"""The samples in grammars/: what each allows, and what not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamakit.api.grammar import LlamaGrammar

FOLDER = Path(__file__).parents[1] / "grammars"

GAME = "1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Bxc6 dxc6 5. O-O f6 6. d4 exd4 7. Nxd4 c5 8. Nb3 Qxd1 9. Rxd1"
PROGRAM = """\
#include <stdio.h>
int sum(const int *values, int n) {
	int total = 0;
	for (int i = 0; i < n; i++) {
		if (values[i] % 2 == 0 && !(values[i] < 0)) {
			total += values[i] * 2;
		} else if (i > 0x10) {
			return -1;
		} else {
			// leave the odd ones out
			continue;
		}
	}
	printf("sum: %d\\n", total);
	return total;
}
void loop(void) {
	char letters[16];
	while (letters[0] != '\\n') {
		*letters = next(letters + 1);
	}
}
"""
QUERY = (
    "SELECT c.name, COUNT(*) AS orders FROM customers AS c LEFT JOIN orders AS o ON o.customer = c.id "
    "WHERE (c.country IN ('it', 'fr') OR c.name LIKE 'O''B%') AND NOT o.total < 10.5 "
    "GROUP BY c.name HAVING SUM(o.total * 2) > 100 ORDER BY orders DESC, c.name LIMIT 10;"
)

CASES: dict[str, tuple[list[str], list[str]]] = {
    "json": (
        ["{}", "[]", "0", "-1.5e+10", '"\\u00e9\\n"', '{"a": [1, true, null], "b": {"c": "é"}}',
         json.dumps({"a": [1, 2.5, {"b": []}], "c": "x\ty"}, indent=2), '{"a":1,"b":[2,3]}'],
        ["", "{", "01", "1.", ".5", "+1", "'a'", '"a', '"\x01"', '"\\x"', "[1,]", '{"a" : 1}', "{a: 1}", "[1]]", "True",
         "[" + " " * 50 + "]"],
    ),
    "json_array": (
        ['[\n  {"a": 1}\n]', '[\n  {"a": 1, "b": "x"},\n  {"a": -2.5, "b": null}\n]'],
        ["[]", '[{"a": 1}]', '[\n  {"a": 1},\n]', '[\n  {"a": [1]}\n]', '[\n  {}\n]'],
    ),
    "arithmetic": (
        ["1 + 1 = 2\n", "2 * (x + 1) = sqrt(16) / 2\n", "a - -b = 3.5\ny^2 = x^-1\n", "f(1, n1) = 0\n"],
        ["", "1 + 1 = 2", "1+1 = 2\n", "1 + = 2\n", "(1 = 1\n", "1.\n", "1 + 1\n", "= 1\n"],
    ),
    "list": (
        ["- one\n", "- one\n- two words\n  - deeper\n- three\n"],
        ["", "one\n", "- one", "-one\n", "- \n", "  - first\n", "-  two blanks\n"],
    ),
    "chess": (
        [GAME, "1. e4", "12. Nbd7 R1a3 13. e8=Q+ Kxe8 14. Qh4e1# 1-0", "1. f3 e5 2. g4 Qh4# 0-1", "1. O-O-O cxd8=N+"],
        ["", "e4 e5", "1. e9", "1. e8", "1. Pe4", "0. e4", "1. e4 e5 e6", "1. e2e4", "1. O-O-O-O", "1.e4", "1. e4 2-0"],
    ),
    "sql": (
        ["SELECT * FROM t;", "SELECT DISTINCT a, MAX(b) FROM t WHERE a IS NOT NULL;", QUERY,
         "SELECT a FROM (SELECT b AS a FROM u) AS v WHERE a BETWEEN 1 AND (2 + 3) ORDER BY a LIMIT 5 OFFSET 10;"],
        ["", "SELECT * FROM t", "DROP TABLE t;", "SELECT FROM t;", "SELECT * FROM t; DELETE FROM t;",
         "SELECT * FROM t WHERE a = 'it's';", "SELECT * FROM t WHERE;", "select * from t;", "SELECT 1 + FROM t;"],
    ),
    "c": (
        [PROGRAM, "int f() {\n}\n", "double g(double x) {\nreturn x * 1.5f;\n}\n"],
        ["", "int f() {}\n", "int f() {\n\treturn 1\n}\n", "int f() {\n\tif (1) return 1;\n}\n", "f() {\n}\n",
         "int f() {\n\tx + 1;\n}\n", 'int f() {\n\tg("\n");\n}\n', "int 1f() {\n}\n"],
    ),
    "english": (
        ["It rains.", 'The well-known, red-haired man didn\'t reply: "Why?" he asked.\n\nIn 1,024 cases (all) 3.5%.'],
        ["", "it rains.", "It rains", "It rains .", "It  rains.", "Café closed.", "It rains.\nIt pours.", "Él."],
    ),
    "japanese": (
        ["今日は、いい天気です。", "彼は「もう行くの？」と言った。３０分ほど待つ！\nコーヒーを飲みますか？"],
        ["", "今日は", "Hello。", "今日は。 明日は。", "、今日は。", "「今日は。", "한국어。"],
    ),
    "csv": (
        ["a,b\n", 'name,note\n"Doe, J.","said ""no"""\n,\n', 'x\n"two\nlines"\n'],
        ["", "a,b", 'a"b\n', '"a\n', '"a"b\n', "a\r\n"],
    ),
}  # fmt: skip


def test_every_sample_is_tested() -> None:
    assert sorted(CASES) == sorted(path.stem for path in FOLDER.glob("*.gbnf"))


@pytest.mark.parametrize("name", CASES)
def test_a_sample_grammar_allows_its_texts_and_no_others(name: str) -> None:
    grammar, (good, bad) = LlamaGrammar.from_file(FOLDER / f"{name}.gbnf"), CASES[name]
    assert [text for text in good if not grammar.matches(text)] == []
    assert [text for text in bad if grammar.matches(text)] == []
