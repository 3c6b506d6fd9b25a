// Conversations as a JSON file, and back: all that a file says is checked before any of it is kept.

import type { Alternative } from "../api/chat.ts";
import { type Answer, type Conversation, type Finish, type Message, newId } from "./conversation.ts";
import type { Chat } from "./store.ts";

const FORMAT = "llamakit-conversations";
const VERSION = 1;
const FINISHES: readonly Finish[] = ["stop", "length", "tool_calls", "stopped", "failed"];

export function exported(chats: readonly Chat[]): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, chats }, null, 1);
}

/** Chats under new ids, so that none takes the place of another. Throws an Error that says what is wrong and where. */
export function imported(text: string): Chat[] {
  const file = object(parsed(text), "the file");
  if (file.format !== FORMAT) throw new Error(`This is no export of llamakit: its "format" is not "${FORMAT}".`);
  if (file.version !== VERSION) throw new Error(`The export has version ${String(file.version)}; this page reads 1.`);
  return objects(file.chats, "chats").map(([chat, at]) => chatOf(chat, at));
}

function chatOf(chat: Fields, at: string): Chat {
  const head = object(chat.conversation, `${at}.conversation`);
  const entries = objects(chat.messages, `${at}.messages`);
  const id = newId();
  const ids = new Map(entries.map(([entry]) => [entry.id, newId()]));
  const renamed = (old: unknown): string | null => ids.get(old) ?? null;
  const conversation: Conversation = {
    id,
    title: string(head.title, `${at}.conversation.title`),
    system: string(head.system ?? "", `${at}.conversation.system`),
    created: number(head.created, `${at}.conversation.created`),
    updated: number(head.updated, `${at}.conversation.updated`),
    head: renamed(head.head),
  };
  const messages = entries.map(([entry, where]): Message => {
    if (entry.role !== "user" && entry.role !== "assistant") throw new Error(`${where}.role is no role of a message.`);
    return {
      id: renamed(entry.id) ?? newId(),
      conversation: id,
      parent: renamed(entry.parent),
      role: entry.role,
      text: string(entry.text, `${where}.text`),
      created: number(entry.created, `${where}.created`),
      ...(entry.role === "assistant" ? { answer: answerOf(object(entry.answer ?? {}, `${where}.answer`), where) } : {}),
    };
  });
  return { conversation, messages };
}

function answerOf(answer: Fields, message: string): Answer {
  const at = `${message}.answer`;
  const found: Answer = { finish: FINISHES.find((one) => one === answer.finish) ?? "stopped" };
  if (answer.model !== undefined) found.model = string(answer.model, `${at}.model`);
  if (answer.isJson === true) found.isJson = true;
  if (answer.reasoning !== undefined) found.reasoning = string(answer.reasoning, `${at}.reasoning`);
  if (answer.calls !== undefined) {
    found.calls = objects(answer.calls, `${at}.calls`).map(([call, where]) => ({
      name: string(call.name, `${where}.name`),
      arguments: string(call.arguments, `${where}.arguments`),
    }));
  }
  if (answer.tokens !== undefined) {
    found.tokens = objects(answer.tokens, `${at}.tokens`).map(([token, where]) => ({
      ...alternative(token, where),
      top: objects(token.top, `${where}.top`).map(([one, place]) => alternative(one, place)),
    }));
  }
  if (answer.usage !== undefined) {
    found.usage = numbers(answer.usage, ["prompt", "cached", "completion"], `${at}.usage`);
  }
  if (answer.timings !== undefined) {
    found.timings = numbers(answer.timings, ["promptPerSecond", "predictedPerSecond"], `${at}.timings`);
  }
  return found;
}

function alternative(one: Fields, at: string): Alternative {
  return { text: string(one.text, `${at}.text`), logprob: number(one.logprob, `${at}.logprob`) };
}

type Fields = Record<string, unknown>;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The file is no JSON: ${(error as Error).message}.`);
  }
}

function object(value: unknown, at: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${at} is no object.`);
  return value as Fields;
}

function list(value: unknown, at: string): unknown[] {
  if (!Array.isArray(value)) throw new Error(`${at} is no list.`);
  return value;
}

/** Each object of a list, with its place. */
function objects(value: unknown, at: string): [Fields, string][] {
  return list(value, at).map((one, i) => [object(one, `${at}[${i}]`), `${at}[${i}]`]);
}

function numbers<Name extends string>(value: unknown, names: readonly Name[], at: string): Record<Name, number> {
  const fields = object(value, at);
  return Object.fromEntries(names.map((name) => [name, number(fields[name], `${at}.${name}`)])) as Record<Name, number>;
}

function string(value: unknown, at: string): string {
  if (typeof value !== "string") throw new Error(`${at} is no text.`);
  return value;
}

function number(value: unknown, at: string): number {
  if (typeof value !== "number") throw new Error(`${at} is no number.`);
  return value;
}
