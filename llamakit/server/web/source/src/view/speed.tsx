// How fast an answer came: the server's own times where it tells them.

import type { VNode } from "preact";
import type { Usage } from "../api/chat.ts";
import { models } from "../api/server.ts";
import type { Answer } from "../chat/conversation.ts";
import { count, rate } from "./format.ts";

const ENDS: Partial<Record<Answer["finish"], string>> = {
  length: "cut at the most tokens",
  stopped: "stopped",
  running: "broken off", // the page was closed while it was written
};

export function Speed({ answer }: { answer: Answer }): VNode | null {
  const { usage, timings } = answer;
  const perSecond = timings?.predictedPerSecond ?? answer.measured?.perSecond;
  const parts = [
    models.value.length > 1 && answer.model,
    usage && `${count(usage.completion)} tokens`,
    perSecond && `${rate(perSecond)} tokens/s`,
    usage && promptOf(usage, timings?.promptPerSecond),
    answer.measured && `first after ${seconds(answer.measured.firstMs)}`,
    ENDS[answer.finish],
  ].filter(Boolean);
  if (!parts.length) return null;
  return <p class="speed">{parts.join(" · ")}</p>;
}

function promptOf(usage: Usage, perSecond: number | undefined): string {
  const cached = usage.cached ? ` (${count(usage.cached)} cached)` : "";
  return `prompt ${count(usage.prompt)}${cached}${perSecond ? ` at ${rate(perSecond)} tokens/s` : ""}`;
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
