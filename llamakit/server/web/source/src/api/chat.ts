// A chat completion, streamed: chunks of OpenAI's shape as parts of an answer.

import { request } from "./client.ts";
import { events } from "./events.ts";
import { Failure, type Problem, problemOfEvent } from "./problem.ts";

export interface Alternative {
  text: string;
  logprob: number;
}

/** A token that was drawn, with the likeliest ones at its place. */
export interface Token extends Alternative {
  top: Alternative[];
}

export interface Usage {
  prompt: number;
  cached: number;
  completion: number;
}

/** Times of llama-server's `timings`; tokens per second. */
export interface Timings {
  promptPerSecond: number;
  predictedPerSecond: number;
}

export type Part =
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "call"; index: number; name: string; arguments: string }
  | { kind: "tokens"; tokens: Token[] }
  | { kind: "progress"; share: number }
  | { kind: "finish"; reason: string }
  | { kind: "model"; name: string }
  | { kind: "usage"; usage: Usage }
  | { kind: "timings"; timings: Timings };

/** Throws Failure for errors of the server, TypeError where there is none, AbortError when it is stopped. */
export async function* chat(body: Record<string, unknown>, signal: AbortSignal): AsyncGenerator<Part> {
  const response = await request("v1/chat/completions", body, signal);
  let isWhole = false;
  try {
    for await (const data of events(response.body ?? new ReadableStream())) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw new Failure(problemOfEvent(chunk.error));
      isWhole ||= Boolean(chunk.choices?.[0]?.finish_reason);
      yield* partsOf(chunk);
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // what a reader throws when the connection ends
  }
  if (!isWhole) throw new Failure(BROKEN);
}

const BROKEN: Problem = {
  title: "The answer broke off",
  advice: "The connection to the server ended. Is it still running? Its log tells more.",
  remedy: "retry",
};

interface LogprobJSON {
  token: string;
  logprob: number;
  top_logprobs?: { token: string; logprob: number }[];
}

interface Chunk {
  error?: unknown;
  model?: string;
  choices?: {
    delta?: {
      content?: string | null;
      reasoning_content?: string | null;
      tool_calls?: { index?: number; function?: { name?: string; arguments?: string } }[];
    };
    logprobs?: { content?: LogprobJSON[] | null } | null;
    finish_reason?: string | null;
  }[];
  usage?: {
    prompt_tokens?: number;
    completion_tokens?: number;
    prompt_tokens_details?: { cached_tokens?: number } | null;
  } | null;
  prompt_progress?: { total?: number; processed?: number } | null;
  timings?: { prompt_per_second?: number; predicted_per_second?: number } | null;
}

function* partsOf(chunk: Chunk): Generator<Part> {
  if (chunk.model) yield { kind: "model", name: chunk.model };
  if (chunk.prompt_progress?.total) {
    yield { kind: "progress", share: (chunk.prompt_progress.processed ?? 0) / chunk.prompt_progress.total };
  }
  const choice = chunk.choices?.[0];
  const delta = choice?.delta;
  if (delta?.reasoning_content) yield { kind: "reasoning", text: delta.reasoning_content };
  if (delta?.content) yield { kind: "text", text: delta.content };
  for (const call of delta?.tool_calls ?? []) {
    const { name = "", arguments: text = "" } = call.function ?? {};
    yield { kind: "call", index: call.index ?? 0, name, arguments: text };
  }
  if (choice?.logprobs?.content?.length) yield { kind: "tokens", tokens: choice.logprobs.content.map(tokenOf) };
  if (choice?.finish_reason) yield { kind: "finish", reason: choice.finish_reason };
  if (chunk.usage) {
    const {
      prompt_tokens: prompt = 0,
      completion_tokens: completion = 0,
      prompt_tokens_details: details,
    } = chunk.usage;
    yield { kind: "usage", usage: { prompt, completion, cached: details?.cached_tokens ?? 0 } };
  }
  if (chunk.timings?.predicted_per_second) {
    const { prompt_per_second: promptPerSecond = 0, predicted_per_second: predictedPerSecond } = chunk.timings;
    yield { kind: "timings", timings: { promptPerSecond, predictedPerSecond } };
  }
}

function tokenOf({ token, logprob, top_logprobs }: LogprobJSON): Token {
  return { text: token, logprob, top: (top_logprobs ?? []).map((one) => ({ text: one.token, logprob: one.logprob })) };
}
