// An answer token by token: a colour for how likely each was, its alternatives on hover or with the arrow keys.

import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Alternative, Token } from "../api/chat.ts";

/** Bounds of probability for the five colours, from sure to surprising. */
const STEPS = [0.9, 0.6, 0.3, 0.1];

export function Probabilities({ tokens }: { tokens: readonly Token[] }): VNode {
  const [at, setAt] = useState<number | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.min(Math.max((at ?? -1) + step, 0), tokens.length - 1);
    list.current?.querySelectorAll<HTMLElement>(".token")[next]?.focus();
  };
  return (
    <div class="tokens" ref={list} role="group" aria-label="Tokens and their probabilities" onKeyDown={onKeyDown}>
      {tokens.map((token, i) => (
        <span
          key={i}
          class={`token step-${stepOf(token)}`}
          tabIndex={i === (at ?? 0) ? 0 : -1}
          role="button"
          aria-label={`${shown(token.text)}, ${percent(token)}`}
          aria-describedby={i === at ? "alternatives" : undefined}
          onMouseEnter={() => setAt(i)}
          onMouseLeave={() => setAt(null)}
          onFocus={() => setAt(i)}
          onBlur={() => setAt(null)}
        >
          {token.text}
          {i === at && <Alternatives token={token} />}
        </span>
      ))}
    </div>
  );
}

function Alternatives({ token }: { token: Token }): VNode {
  const all = token.top.some((one) => one.text === token.text) ? token.top : [token, ...token.top];
  return (
    <span class="alternatives" id="alternatives" role="tooltip">
      {all.map((one, i) => (
        <span key={i} class={one.text === token.text ? "alternative drawn" : "alternative"}>
          <code>{shown(one.text)}</code>
          <progress max={1} value={probability(one)} aria-hidden="true" />
          <span>{percent(one)}</span>
        </span>
      ))}
    </span>
  );
}

function probability({ logprob }: Alternative): number {
  return Math.exp(logprob);
}

function percent(one: Alternative): string {
  const value = 100 * probability(one);
  return value > 0 && value < 0.1 ? "< 0.1 %" : `${value.toFixed(1)} %`;
}

function stepOf(token: Token): number {
  const at = STEPS.findIndex((bound) => probability(token) >= bound);
  return at < 0 ? STEPS.length : at;
}

/** Spaces and line ends made visible. */
function shown(text: string): string {
  return text.replace(/ /g, "␣").replace(/\n/g, "↵").replace(/\t/g, "⇥") || "∅";
}
