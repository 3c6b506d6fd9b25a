// The address of a conversation, #/chat/ID, so that a reload and the back button find it.

import { effect } from "@preact/signals";
import { runningMessage } from "../chat/answering.ts";
import { chat, openChat, showMessage, startChat } from "../chat/chats.ts";

export function addressOf(id: string): string {
  return `#/chat/${id}`;
}

/** Open what the address names, now and whenever it changes. */
export async function followLocation(): Promise<void> {
  await open();
  addEventListener("hashchange", () => void open());
  effect(() => {
    const { id, head, title } = chat.value.conversation;
    const address = head === null ? "#/" : addressOf(id);
    document.title = head === null ? "llamakit" : `${title} · llamakit`;
    if (location.hash !== address && !(head === null && location.hash === "")) history.pushState(null, "", address);
  });
}

async function open(): Promise<void> {
  const id = /^#\/chat\/(\w+)$/.exec(location.hash)?.[1];
  if (id === undefined) {
    if (chat.value.conversation.head !== null) startChat();
  } else if (id !== chat.value.conversation.id && (await openChat(id).catch(() => false))) {
    const message = runningMessage(id);
    if (message) showMessage(message);
  }
}
