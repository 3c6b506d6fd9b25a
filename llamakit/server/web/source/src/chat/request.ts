// The body of a request: what was said, and only those settings that were chosen.

import { Failure } from "../api/problem.ts";
import type { Settings } from "../settings.ts";
import { biasPairs } from "./biases.ts";
import type { Message } from "./conversation.ts";

const N_ALTERNATIVES = 5;

/** Throws Failure when the schema or the further fields are no JSON objects. */
export function requestBody(
  system: string,
  history: readonly Message[],
  settings: Settings,
  model: string | null,
): Record<string, unknown> {
  const schema = jsonObject(settings.schema, "JSON schema");
  return {
    ...(model === null ? {} : { model }),
    messages: [...(system.trim() ? [{ role: "system", content: system }] : []), ...turns(history)],
    stream: true,
    stream_options: { include_usage: true },
    return_progress: true,
    ...(settings.hasProbabilities ? { logprobs: true, top_logprobs: N_ALTERNATIVES } : {}),
    ...settings.fields,
    ...(Array.isArray(settings.fields.logit_bias) ? { logit_bias: biasPairs(settings.fields.logit_bias) } : {}),
    ...(schema === null ? {} : { response_format: { type: "json_schema", json_schema: { name: "answer", schema } } }),
    ...jsonObject(settings.extra, "Further fields"),
  };
}

interface Turn {
  role: Message["role"];
  content: string;
}

/** What was said in turn, as many templates insist: questions that were not answered go into the next one. */
function turns(history: readonly Message[]): Turn[] {
  const taken: Turn[] = [];
  for (const { role, text } of history) {
    const last = taken[taken.length - 1];
    if (role === "assistant" && !text) continue;
    if (last?.role === role) last.content += `\n\n${text}`;
    else taken.push({ role, content: text });
  }
  return taken;
}

/** What is wrong with a text that must be a JSON object or empty, or null. */
export function jsonProblem(text: string): string | null {
  if (!text.trim()) return null;
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? null : "This must be a JSON object: { … }.";
  } catch (error) {
    return `This is no JSON: ${(error as Error).message}.`;
  }
}

function jsonObject(text: string, name: string): Record<string, unknown> | null {
  const wrong = jsonProblem(text);
  if (wrong !== null) throw new Failure({ title: `${name}: mend it first`, advice: wrong, remedy: "settings" });
  return text.trim() ? (JSON.parse(text) as Record<string, unknown>) : null;
}
