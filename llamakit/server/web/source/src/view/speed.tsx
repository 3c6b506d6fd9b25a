// How fast an answer came: the server's own times where it tells them.

import type { VNode } from "preact";
import { models } from "../api/server.ts";
import type { Answer, Message } from "../chat/conversation.ts";
import { count, rate } from "./format.ts";

const ENDS: Partial<Record<Answer["finish"], string>> = {
  length: "cut at the most tokens",
  stopped: "stopped",
  running: "broken off", // the page was closed while it was written
};

export function Speed({ message, answer, isWriting }: { message: Message; answer: Answer; isWriting: boolean }): VNode | null {
  if (isWriting) return null;
  const { usage, timings } = answer;
  const perSecond = timings?.predictedPerSecond ?? answer.measured?.perSecond;
  const parts = [
    models.value.length > 1 && answer.model,
    usage && `${count(usage.completion)} tokens`,
    perSecond && `${rate(perSecond)} tokens/s`,
    usage && `prompt ${count(usage.prompt)}${usage.cached ? ` (${count(usage.cached)} cached)` : ""}`,
    timings?.promptPerSecond && `at ${rate(timings.promptPerSecond)} tokens/s`,
    answer.measured && `first after ${seconds(answer.measured.firstMs)}`,
    ENDS[answer.finish],
  ].filter(Boolean);
  if (!parts.length || !message) return null;
  return <p class="speed">{parts.join(" · ")}</p>;
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
