// The conversations of this browser, and the one in view.

import { computed, signal } from "@preact/signals";
import { type Problem, problemOfStore } from "../api/problem.ts";
import { change, settings } from "../settings.ts";
import { branch, type Conversation, type Message, newestLeaf, newId, titleOf } from "./conversation.ts";
import { type Chat, allConversations, allMessages, loadChat, remove, save } from "./store.ts";
import { exported, imported } from "./transfer.ts";

export const conversations = signal<Conversation[]>([]);
/** The chat in view; one that nothing was said in yet is kept nowhere. */
export const chat = signal<Chat>(newChat());
export const thread = computed(() => branch(chat.value.messages, chat.value.conversation.head));

function newChat(): Chat {
  const now = Date.now();
  const conversation = { id: newId(), title: "New chat", system: settings.value.system, created: now, updated: now };
  return { conversation: { ...conversation, head: null }, messages: [] };
}

/** Why conversations are not kept, where they are not. */
export const storeProblem = signal<Problem | null>(null);

export async function loadList(): Promise<void> {
  try {
    conversations.value = (await allConversations()).sort((a, b) => b.updated - a.updated);
  } catch (error) {
    storeProblem.value = problemOfStore(error);
  }
}

/** Save; where the browser cannot, the chat goes on in the page's memory and the reader is told. */
export async function keep(conversation: Conversation | null, messages: readonly Message[]): Promise<void> {
  try {
    await save(conversation, messages);
    storeProblem.value = null;
  } catch (error) {
    storeProblem.value = problemOfStore(error);
  }
}

export function startChat(): void {
  chat.value = newChat();
}

/** False if it is not there (any more). */
export async function openChat(id: string): Promise<boolean> {
  const found = await loadChat(id);
  if (found !== null) chat.value = found;
  return found !== null;
}

/** Put messages into a chat, which may be another one than that in view, and let it end with the last. */
export async function add(conversation: Conversation, messages: Message[]): Promise<Conversation> {
  const last = messages[messages.length - 1];
  const isFirst = conversation.head === null && messages[0]?.role === "user";
  const title = isFirst ? titleOf(messages[0]?.text ?? "") : conversation.title;
  const changed = { ...conversation, title, head: last?.id ?? conversation.head, updated: Date.now() };
  showConversation(changed);
  messages.forEach(showMessage);
  await keep(changed, messages);
  return changed;
}

/** A message that changes while it is written; `store.save` keeps it. */
export function showMessage(message: Message): void {
  const { conversation, messages } = chat.value;
  if (conversation.id !== message.conversation) return;
  const others = messages.filter((other) => other.id !== message.id);
  chat.value = { conversation, messages: [...others, message] };
}

function showConversation(conversation: Conversation): void {
  const others = conversations.value.filter((other) => other.id !== conversation.id);
  conversations.value = [conversation, ...others].sort((a, b) => b.updated - a.updated);
  if (chat.value.conversation.id === conversation.id) chat.value = { ...chat.value, conversation };
}

async function changeConversation(conversation: Conversation): Promise<void> {
  showConversation(conversation);
  await keep(conversation, []);
}

/** Go to the newest branch through a message. */
export async function switchTo(id: string): Promise<void> {
  const { conversation, messages } = chat.value;
  await changeConversation({ ...conversation, head: newestLeaf(messages, id) });
}

export async function rename(conversation: Conversation, title: string): Promise<void> {
  if (title.trim()) await changeConversation({ ...conversation, title: title.trim() });
}

/** The system prompt of the chat in view, and of chats that begin later. */
export async function changeSystem(system: string): Promise<void> {
  change({ system });
  const conversation = { ...chat.value.conversation, system };
  if (conversation.head === null) chat.value = { ...chat.value, conversation };
  else await changeConversation(conversation);
}

export async function removeChat(id: string): Promise<void> {
  conversations.value = conversations.value.filter((one) => one.id !== id);
  if (chat.value.conversation.id === id) startChat();
  await remove(id);
}

/** Ids of the conversations with all the words in their title or their messages. */
export async function search(query: string): Promise<Set<string>> {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = new Map(conversations.value.map(({ id, title }) => [id, [title]]));
  for (const message of await allMessages()) texts.get(message.conversation)?.push(message.text);
  const has = (text: string): boolean => words.every((word) => text.includes(word));
  return new Set([...texts].filter(([, parts]) => has(parts.join("\n").toLowerCase())).map(([id]) => id));
}

/** One conversation as a JSON text, or all. */
export async function exportChats(id?: string): Promise<string> {
  const ids = id === undefined ? conversations.value.map((one) => one.id) : [id];
  const chats = await Promise.all(ids.map(loadChat));
  return exported(chats.filter((one) => one !== null));
}

/** How many came. Throws an Error in words. */
export async function importChats(text: string): Promise<number> {
  const chats = imported(text);
  for (const { conversation, messages } of chats) await save(conversation, messages);
  await loadList();
  return chats.length;
}
