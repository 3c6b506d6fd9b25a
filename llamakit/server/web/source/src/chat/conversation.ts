// A conversation is a tree of messages: editing or asking again adds a branch, and nothing is lost.

import type { Timings, Token, Usage } from "../api/chat.ts";
import type { Problem } from "../api/problem.ts";

export interface Conversation {
  id: string;
  title: string;
  system: string;
  created: number;
  updated: number;
  /** The last message of the branch in view; null while there is none. */
  head: string | null;
}

/** How an answer ended; `stopped` by the reader, `failed` with a problem. */
export type Finish = "running" | "stop" | "length" | "tool_calls" | "stopped" | "failed";

export interface Call {
  name: string;
  arguments: string;
}

/** What an assistant's message has besides its text. */
export interface Answer {
  finish: Finish;
  model?: string;
  /** Whether it had to follow a schema. */
  isJson?: boolean;
  reasoning?: string;
  calls?: Call[];
  tokens?: Token[];
  /** How much of the prompt has been read, before the first token. */
  progress?: number;
  usage?: Usage;
  timings?: Timings;
  /** By this page's clock: milliseconds to the first token, tokens per second after it. */
  measured?: { firstMs: number; perSecond?: number };
  problem?: Problem;
}

export interface Message {
  id: string;
  conversation: string;
  parent: string | null;
  role: "user" | "assistant";
  text: string;
  created: number;
  answer?: Answer;
}

const TITLE_LENGTH = 60;

/** 128 random bits; crypto.randomUUID is not there on plain http. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The messages from the first to `head`. */
export function branch(messages: readonly Message[], head: string | null): Message[] {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path: Message[] = [];
  for (let at = byId.get(head ?? ""); at !== undefined; at = byId.get(at.parent ?? "")) {
    path.push(at);
    byId.delete(at.id); // a file that was edited by hand may have a circle
  }
  return path.reverse();
}

/** The message and what stands in its place on other branches, oldest first. */
export function siblings(messages: readonly Message[], message: Message): Message[] {
  return messages
    .filter((other) => other.parent === message.parent && other.role === message.role)
    .sort((a, b) => a.created - b.created);
}

/** The end of the newest branch through a message. */
export function newestLeaf(messages: readonly Message[], id: string): string {
  const seen = new Set<string>();
  for (let at = id; !seen.has(at);) {
    seen.add(at);
    const children = messages.filter((message) => message.parent === at);
    const newest = children.sort((a, b) => b.created - a.created)[0];
    if (newest === undefined) return at;
    at = newest.id;
  }
  return id;
}

/** The first line of what was asked. */
export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH - 1).trimEnd()}…` : line || "New chat";
}
