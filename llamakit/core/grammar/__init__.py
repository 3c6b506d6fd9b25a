"""Grammars: GBNF, JSON schemas and regular expressions become one automaton that says which tokens may come next.

gbnf.py, regex.py, schema*.py  ->  rules.py  ->  program.py  ->  automaton.py  ->  matcher.py
a text of each kind                one form      flat nodes      states, lazily    one sequence of tokens
"""
