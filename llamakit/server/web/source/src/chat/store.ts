// Conversations in IndexedDB: one store of heads, one of messages.

import type { Conversation, Message } from "./conversation.ts";

export interface Chat {
  conversation: Conversation;
  messages: Message[];
}

const CONVERSATIONS = "conversations";
const MESSAGES = "messages";
const BY_CONVERSATION = "conversation";

let opened: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const opening = indexedDB.open("llamakit", 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(CONVERSATIONS, { keyPath: "id" });
      opening.result.createObjectStore(MESSAGES, { keyPath: "id" }).createIndex(BY_CONVERSATION, "conversation");
    };
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  return opened;
}

function result<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

/** One transaction over both stores; done when it is on disk. */
async function writing(work: (conversations: IDBObjectStore, messages: IDBObjectStore) => void): Promise<void> {
  const transaction = (await database()).transaction([CONVERSATIONS, MESSAGES], "readwrite");
  work(transaction.objectStore(CONVERSATIONS), transaction.objectStore(MESSAGES));
  await new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

async function reading(store: string): Promise<IDBObjectStore> {
  return (await database()).transaction(store).objectStore(store);
}

export async function allConversations(): Promise<Conversation[]> {
  return result((await reading(CONVERSATIONS)).getAll() as IDBRequest<Conversation[]>);
}

export async function allMessages(): Promise<Message[]> {
  return result((await reading(MESSAGES)).getAll() as IDBRequest<Message[]>);
}

export async function loadChat(id: string): Promise<Chat | null> {
  const conversation = await result((await reading(CONVERSATIONS)).get(id) as IDBRequest<Conversation | undefined>);
  if (conversation === undefined) return null;
  const index = (await reading(MESSAGES)).index(BY_CONVERSATION);
  const messages = await result(index.getAll(id) as IDBRequest<Message[]>);
  return { conversation, messages: messages.sort((a, b) => a.created - b.created) };
}

export async function save(conversation: Conversation | null, messages: readonly Message[]): Promise<void> {
  await writing((intoConversations, intoMessages) => {
    if (conversation !== null) intoConversations.put(conversation);
    for (const message of messages) intoMessages.put(message);
  });
}

export async function remove(id: string): Promise<void> {
  await writing((conversations, messages) => {
    conversations.delete(id);
    messages.index(BY_CONVERSATION).getAllKeys(id).onsuccess = (event) => {
      for (const key of (event.target as IDBRequest<IDBValidKey[]>).result) messages.delete(key);
    };
  });
}
