// An answer as it grows: parts of a stream put into its message.

import type { Part } from "../api/chat.ts";
import type { Clock } from "./clock.ts";
import type { Answer, Message } from "./conversation.ts";

/** The message with one more part of the stream. */
export function extended(message: Message, part: Part): Message {
  const old: Answer = message.answer ?? { finish: "running" };
  const answer = (changed: Partial<Answer>): Message => ({ ...message, answer: { ...old, ...changed } });
  switch (part.kind) {
    case "text":
      return { ...message, text: message.text + part.text };
    case "reasoning":
      return answer({ reasoning: (old.reasoning ?? "") + part.text });
    case "call": {
      const calls = [...(old.calls ?? [])];
      const at = Math.min(part.index, calls.length);
      const call = calls[at] ?? { name: "", arguments: "" };
      calls[at] = { name: call.name + part.name, arguments: call.arguments + part.arguments };
      return answer({ calls });
    }
    case "tokens":
      return answer({ tokens: [...(old.tokens ?? []), ...part.tokens] });
    case "progress":
      return answer({ progress: part.share });
    case "finish":
      return answer({ finish: part.reason === "length" || part.reason === "tool_calls" ? part.reason : "stop" });
    case "model":
      return old.model === part.name ? message : answer({ model: part.name });
    case "usage":
      return answer({ usage: part.usage });
    case "timings":
      return answer({ timings: part.timings });
  }
}

/** The message when nothing more comes. */
export function ended(message: Message, clock: Clock, changed: Partial<Answer>): Message {
  const { progress: _, ...grown } = message.answer ?? { finish: "stop" };
  const finish = grown.finish === "running" ? "stop" : grown.finish;
  const measured = clock.measured(grown.usage?.completion);
  return { ...message, answer: { ...grown, finish, ...(measured ? { measured } : {}), ...changed } };
}
