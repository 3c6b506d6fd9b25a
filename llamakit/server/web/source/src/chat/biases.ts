// Logit biases: a token and a number a line, to the pairs that the server takes.

import { Failure } from "../api/problem.ts";

/** Throws Failure for a line that is none: `15 -100`, `the 2.5`, `the false` for never. A whole number is a token's id. */
export function biasPairs(lines: readonly string[]): [number | string, number | false][] {
  return lines.map((line) => {
    const [, token = "", bias = ""] = /^(.+)[ \t](\S+)$/s.exec(line.replace(/[ \t]+$/, "")) ?? [];
    const number = Number(bias);
    if (!token || !bias || (bias !== "false" && !Number.isFinite(number))) {
      const advice = `“${line}” is no token and number, such as 15 -100.`;
      throw new Failure({ title: "Logit bias: mend it first", advice, remedy: "settings" });
    }
    return [/^\d+$/.test(token) ? Number(token) : token, bias === "false" ? false : number];
  });
}
