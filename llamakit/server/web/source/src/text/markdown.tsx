// Markdown as nodes: the lexer's tokens become elements one by one, and a token that is HTML stays text.
// Nothing here, nor in math and highlighting, ever parses a model's text as HTML.

import { Marked, type MarkedToken, type Token, type Tokens } from "marked";
import type { ComponentChildren, VNode } from "preact";
import { useMemo } from "preact/hooks";
import { CodeBlock } from "./code.tsx";
import { safeAddress } from "./links.ts";
import { MathText } from "./math.tsx";
import { MATH, type MathToken } from "./math_tokens.ts";

const DEEPEST = 60; // levels, twice as many as lists in lists need

const marked = new Marked({ gfm: true, breaks: true }, { extensions: MATH });

export function Markdown({ text }: { text: string }): VNode {
  const tokens = useMemo(() => tokensOf(text), [text]);
  if (tokens === null) return <div class="prose plain">{text}</div>;
  return (
    <div class="prose">
      {tokens.map((token, i) => (
        <Block key={i} raw={token.raw} token={token} />
      ))}
    </div>
  );
}

/** Null for a text that nests so deeply that only an attack would. */
function tokensOf(text: string): Token[] | null {
  try {
    const tokens = marked.lexer(text);
    return isDeeper(tokens, DEEPEST) ? null : tokens;
  } catch {
    return null; // the lexer's own stack was not enough
  }
}

function isDeeper(tokens: readonly Token[], depth: number): boolean {
  if (depth === 0) return true;
  return tokens.some((token) => {
    const inner = (token as Tokens.Generic).tokens ?? (token as Tokens.List).items;
    return inner !== undefined && isDeeper(inner, depth - 1);
  });
}

// While an answer is written, only its last block changes.
function Block({ raw, token }: { raw: string; token: Token }): VNode {
  return useMemo(() => <>{nodeOf(token)}</>, [raw, token.type]);
}

function nodesOf(tokens: Token[] | undefined): ComponentChildren {
  return (tokens ?? []).map((token, i) => <Node key={i} token={token} />);
}

function Node({ token }: { token: Token }): VNode {
  return <>{nodeOf(token)}</>;
}

function nodeOf(token: Token): ComponentChildren {
  const known = token as MarkedToken | MathToken;
  switch (known.type) {
    case "space":
    case "def":
      return null;
    case "heading": {
      const Heading = `h${Math.min(known.depth + 2, 6)}` as "h3"; // below the page's own
      return <Heading>{nodesOf(known.tokens)}</Heading>;
    }
    case "paragraph":
      return <p>{nodesOf(known.tokens)}</p>;
    case "blockquote":
      return <blockquote>{nodesOf(known.tokens)}</blockquote>;
    case "list":
      return <List list={known} />;
    case "table":
      return <Table table={known} />;
    case "hr":
      return <hr />;
    case "code":
      return <CodeBlock code={known.text} language={(known.lang ?? "").split(/\s/, 1)[0] ?? ""} />;
    case "math":
      return <MathText tex={known.tex} isBlock={known.isBlock} />;
    case "strong":
      return <strong>{nodesOf(known.tokens)}</strong>;
    case "em":
      return <em>{nodesOf(known.tokens)}</em>;
    case "del":
      return <del>{nodesOf(known.tokens)}</del>;
    case "codespan":
      return <code>{known.text}</code>;
    case "br":
      return <br />;
    case "link":
      return <Link address={known.href}>{nodesOf(known.tokens)}</Link>;
    case "image": // never loaded: its address would tell others that, and what, is read here
      return <Link address={known.href}>{`[${known.text || "image"}]`}</Link>;
    case "checkbox":
      return null; // drawn by its list item
    case "text":
      return known.tokens ? nodesOf(known.tokens) : plain(known.text);
    case "escape":
      return known.text;
    default:
      return known.raw; // HTML and whatever else there may be
  }
}

function Link({ address, children }: { address: string; children: ComponentChildren }): VNode {
  const safe = safeAddress(address);
  if (safe === null) return <>{children}</>;
  return (
    <a href={safe} title={safe} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

function List({ list }: { list: Tokens.List }): VNode {
  const items = list.items.map((item, i) => (
    <li key={i} class={item.task ? "task" : undefined}>
      {item.task && <input type="checkbox" checked={item.checked ?? false} disabled aria-label="done" />}
      {nodesOf(item.tokens)}
    </li>
  ));
  return list.ordered ? <ol start={Number(list.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function Table({ table }: { table: Tokens.Table }): VNode {
  return (
    <div class="table" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead>
          <tr>
            {table.header.map((cell, i) => (
              <th key={i} class={cell.align ?? undefined}>
                {nodesOf(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) => (
                <td key={j} class={cell.align ?? undefined}>
                  {nodesOf(cell.tokens)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: "\u00a0" };

/** Entities of Markdown as the characters that they stand for. */
function plain(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (entity, name: string) => NAMED[name] ?? entity);
}
