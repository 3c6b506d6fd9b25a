// Math in Markdown: $…$, $$…$$, \(…\) and \[…\].

import type { TokenizerExtension } from "marked";

export interface MathToken {
  type: "math";
  raw: string;
  tex: string;
  isBlock: boolean;
}

// A single dollar opens only before a non-space and closes only after one, with no digit next: "$5 and $6" is money.
// Lengths are bounded, so that a text of many openings and no end takes no time to speak of.
const INLINE =
  /^(?:\$\$([^$]{1,4000}?)\$\$|\$(?![\s$])((?:\\.|[^$\\\n]){1,1000}?)(?<![\s\\])\$(?!\d)|\\\(([^]{1,4000}?)\\\)|\\\[([^]{1,4000}?)\\\])/;
const BLOCK = /^ {0,3}(?:\$\$([^]{1,4000}?)\$\$|\\\[([^]{1,4000}?)\\\])[ \t]*(?:\n|$)/;

export const MATH: TokenizerExtension[] = [
  {
    name: "mathBlock",
    level: "block",
    start: (source) => indexOf(source, /\n {0,3}(?:\$\$|\\\[)/),
    tokenizer: (source) => {
      const match = BLOCK.exec(source);
      return match ? token(match[0], match[1] ?? match[2] ?? "", true) : undefined;
    },
  },
  {
    name: "math",
    level: "inline",
    start: (source) => indexOf(source, /\$|\\[([]/),
    tokenizer: (source) => {
      const match = INLINE.exec(source);
      if (!match) return undefined;
      const [raw, double, single, round, square] = match;
      return token(raw, double ?? single ?? round ?? square ?? "", double !== undefined || square !== undefined);
    },
  },
];

function token(raw: string, tex: string, isBlock: boolean): MathToken {
  return { type: "math", raw, tex: tex.trim(), isBlock };
}

function indexOf(source: string, pattern: RegExp): number | undefined {
  const i = source.search(pattern);
  return i < 0 ? undefined : i;
}
