"""The sample grammars of the repository (grammars/), for programs that name them in `llama_cpp.llama_grammar`."""

from __future__ import annotations

ARITHMETIC_GBNF = r"""
root     ::= ( equation "\n" )+
equation ::= sum " = " sum
sum      ::= product ( [ ] [+-] [ ] product )*
product  ::= signed ( [ ] [*/] [ ] signed )*
signed   ::= "-"? power
power    ::= atom ( "^" signed )?
atom     ::= number | name ( "(" sum ( ", " sum )* ")" )? | "(" sum ")"
number   ::= [0-9]+ ( "." [0-9]+ )?
name     ::= [a-z] [a-z0-9_]*
"""

C_GBNF = r"""
root        ::= include* function+
include     ::= "#include <" [a-z]+ ".h>\n"
function    ::= type name "(" ( "void" | parameter ( ", " parameter )* )? ") " block "\n"
parameter   ::= type name "[]"?
type        ::= "const "? ( "void" | "unsigned "? ( "int" | "long" | "char" ) | "float" | "double" ) " " "*"{0,2}
block       ::= "{\n" line* indent "}"
line        ::= indent statement "\n"
indent      ::= "\t"{0,8}
statement   ::= declaration ";" | assignment ";" | call ";" | return ";" | "break;" | "continue;" | comment |
              "if (" expression ") " block ( " else if (" expression ") " block )* ( " else " block )? |
              "while (" expression ") " block |
              "for (" ( declaration | assignment )? "; " expression? "; " assignment? ") " block
declaration ::= type name ( "[" integer "]" )? ( " = " expression )?
assignment  ::= place " " [+*/%-]? "= " expression | place ( "++" | "--" )
return      ::= "return" ( " " expression )?
comment     ::= "// " [^\n]{1,100}
expression  ::= conjunction ( " || " conjunction )*
conjunction ::= comparison ( " && " comparison )*
comparison  ::= sum ( [ ] ( "==" | "!=" | "<=" | ">=" | "<" | ">" ) [ ] sum )?
sum         ::= product ( [ ] [+-] [ ] product )*
product     ::= unary ( [ ] [*/%] [ ] unary )*
unary       ::= [!*&-]? primary
primary     ::= number | string | character | call | place | "(" expression ")"
place       ::= name ( "[" expression "]" )* | "*" name
call        ::= name "(" ( expression ( ", " expression )* )? ")"
name        ::= [a-zA-Z_] [a-zA-Z0-9_]{0,30}
number      ::= integer ( "." [0-9]+ "f"? )? | "0x" [0-9a-fA-F]{1,16}
integer     ::= "0" | [1-9] [0-9]{0,18}
string      ::= "\"" ( [^"\\\x00-\x1F] | escape )* "\""
character   ::= "'" ( [^'\\\x00-\x1F] | escape ) "'"
escape      ::= "\\" ["'\\nrt0]
"""

CHESS_GBNF = r"""
root   ::= turn ( " " turn )* ( " " result )?
turn   ::= number ". " move ( " " move )?
number ::= [1-9] [0-9]{0,2}
result ::= "1-0" | "0-1" | "1/2-1/2"
move   ::= ( castle | piece | pawn ) [+#]?
castle ::= "O-O" "-O"?
piece  ::= [KQRBN] ( [a-h] | [1-8] | square )? "x"? square
pawn   ::= ( [a-h] "x" )? ( [a-h] [2-7] | [a-h] [18] "=" [QRBN] )
square ::= [a-h] [1-8]
"""

JAPANESE_GBNF = r"""
root     ::= sentence+ ( "\n" sentence+ )*
sentence ::= clause ( "、" clause )* [。！？]
clause   ::= ( letter | quoted )+
quoted   ::= "「" letter+ ( [、。！？] letter+ )* [。！？]? "」"
letter   ::= hiragana | katakana | kanji | figure | [・ー〜々]
hiragana ::= [ぁ-ゖ]
katakana ::= [ァ-ヺ]
kanji    ::= [一-鿿㐀-䶿]
figure   ::= [0-9０-９]
"""

JSON_ARR_GBNF = r"""
root   ::= "[\n" object ( ",\n" object )* "\n]"
object ::= "  {" member ( ", " member )* "}"
member ::= string ": " value
value  ::= string | number | "true" | "false" | "null"
string ::= "\"" char* "\""
char   ::= [^"\\\x00-\x1F] | "\\" ( ["\\/bfnrt] | "u" [0-9a-fA-F]{4} )
number ::= "-"? ( "0" | [1-9] [0-9]{0,15} ) ( "." [0-9]{1,16} )?
"""

LIST_GBNF = r"""
root   ::= item+
item   ::= "- " text "\n" nested*
nested ::= "  - " text "\n"
text   ::= [^\n\t -] [^\n\t]*
"""
