// Asking for answers, one at a time in each conversation, and stopping them.

import { signal } from "@preact/signals";
import { chat as stream } from "../api/chat.ts";
import { problemOfError } from "../api/problem.ts";
import { model } from "../api/server.ts";
import { settings } from "../settings.ts";
import { add, chat, keep, showMessage, thread } from "./chats.ts";
import { Clock } from "./clock.ts";
import { type Conversation, type Message, branch, newId } from "./conversation.ts";
import { ended, extended } from "./growth.ts";
import { Pace } from "./pace.ts";
import { requestBody } from "./request.ts";
import type { Chat } from "./store.ts";

const SHOW_EVERY_MS = 40;
const SAVE_EVERY_MS = 1000;

interface Run {
  controller: AbortController;
  message: Message;
}

/** Answers being written, by conversation. */
export const runs = signal<ReadonlyMap<string, Run>>(new Map());

export function isRunning(conversation: string): boolean {
  return runs.value.has(conversation);
}

/** The answer that is being written, as far as it is; what the store has of it may be older. */
export function runningMessage(conversation: string): Message | undefined {
  return runs.value.get(conversation)?.message;
}

export function stop(): void {
  runs.value.get(chat.value.conversation.id)?.controller.abort();
}

/** Say something at the end of the branch in view. */
export async function send(text: string): Promise<void> {
  const last = thread.value[thread.value.length - 1];
  await ask(userMessage(text, last?.id ?? null));
}

/** Say something else in the place of a message, on a branch of its own. */
export async function edit(message: Message, text: string): Promise<void> {
  if (message.role === "user") return ask(userMessage(text, message.parent));
  const { conversation } = chat.value;
  const edited: Message = { ...message, id: newId(), text, created: Date.now(), answer: { finish: "stop" } };
  await add(conversation, [edited]);
}

/** Another answer in the place of one. */
export async function regenerate(message: Message): Promise<void> {
  const { conversation, messages } = chat.value;
  const { parent } = message;
  if (!isRunning(conversation.id)) await answer({ conversation, messages }, parent, []);
}

async function ask(question: Message): Promise<void> {
  const { conversation, messages } = chat.value;
  if (!isRunning(conversation.id))
    await answer({ conversation, messages: [...messages, question] }, question.id, [question]);
}

function userMessage(text: string, parent: string | null): Message {
  return { id: newId(), conversation: chat.value.conversation.id, parent, role: "user", text, created: Date.now() };
}

async function answer({ conversation, messages }: Chat, parent: string | null, added: Message[]): Promise<void> {
  let message: Message = {
    id: newId(),
    conversation: conversation.id,
    parent,
    role: "assistant",
    text: "",
    created: Date.now() + 1, // after the question
    answer: { finish: "running", ...(settings.value.schema.trim() ? { isJson: true } : {}) },
  };
  const controller = new AbortController();
  setRun(conversation.id, { controller, message });
  const show = (changed: Message): void => {
    message = changed;
    setRun(conversation.id, { controller, message });
    showMessage(message);
  };
  await add(conversation, [...added, message]);
  const finished = await write(message, controller, conversation, branch(messages, parent), show);
  setRun(conversation.id, null);
  showMessage(finished);
  await keep(null, [finished]);
}

/** The message when it is whole, stopped or broken. */
async function write(
  begun: Message,
  controller: AbortController,
  conversation: Conversation,
  history: Message[],
  show: (message: Message) => void,
): Promise<Message> {
  let message = begun;
  const clock = new Clock();
  const showing = new Pace(SHOW_EVERY_MS, () => show(message));
  const saving = new Pace(SAVE_EVERY_MS, () => void keep(null, [message]));
  try {
    const body = requestBody(conversation.system, history, settings.value, model.value?.id ?? null);
    for await (const part of stream(body, controller.signal)) {
      message = extended(message, part);
      if (part.kind === "text" || part.kind === "reasoning") clock.tick();
      showing.ask();
      saving.ask();
    }
    return ended(message, clock, {});
  } catch (error) {
    if (controller.signal.aborted) return ended(message, clock, { finish: "stopped" });
    return ended(message, clock, { finish: "failed", problem: problemOfError(error) });
  } finally {
    showing.cancel();
    saving.cancel();
  }
}

function setRun(conversation: string, run: Run | null): void {
  const changed = new Map(runs.value);
  if (run === null) changed.delete(conversation);
  else changed.set(conversation, run);
  runs.value = changed;
}
