// What the server tells of the model.

import type { VNode } from "preact";
import { model, props } from "../api/server.ts";
import { bytes, count, short } from "./format.ts";

/** What matters before the first question. */
export function briefFacts(): string {
  const { nParams, nBytes } = model.value ?? {};
  const { nCtx } = props.value;
  return [
    nParams && `${short(nParams)} parameters`,
    nBytes && bytes(nBytes),
    nCtx && `${count(nCtx)} tokens of context`,
  ]
    .filter(Boolean)
    .join(" · ");
}

export function ModelFacts(): VNode | null {
  if (model.value === null) return null;
  const { id, nParams, nBytes, nCtxTrain } = model.value;
  const { nCtx, nSlots, path, build } = props.value;
  const facts: [string, string | undefined][] = [
    ["Model", id],
    ["File", path],
    ["Parameters", nParams && short(nParams)],
    ["Size", nBytes && bytes(nBytes)],
    ["Context", nCtx && `${count(nCtx)} tokens`],
    ["Trained context", nCtxTrain && `${count(nCtxTrain)} tokens`],
    ["At once", nSlots && `${nSlots} requests`],
    ["Server", build],
  ].map(([name, value]) => [name as string, value ? String(value) : undefined]);
  return (
    <section>
      <h3>About the model</h3>
      <dl class="facts">
        {facts.map(([name, value]) =>
          value ? (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ) : null,
        )}
      </dl>
    </section>
  );
}
