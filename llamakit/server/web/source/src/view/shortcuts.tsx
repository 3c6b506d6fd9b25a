// What keys do, and the list of it.

import type { VNode } from "preact";
import { isRunning, regenerate, stop } from "../chat/answering.ts";
import { chat, thread } from "../chat/chats.ts";
import { settings } from "../settings.ts";
import { announce } from "./announcer.tsx";
import { newChat } from "./chat_list.tsx";
import { focusComposer } from "./composer.tsx";
import { copy } from "./copy_button.tsx";
import { Dialog } from "./dialog.tsx";
import { Icon } from "./icon.tsx";
import { isHelpOpen, isListOpen, isSettingsOpen } from "./layout.ts";
import { editLast } from "./message.tsx";

interface Shortcut {
  key: string;
  does: string;
  run: () => void;
}

function lastAnswer() {
  return thread.value.findLast((message) => message.role === "assistant");
}

const SHORTCUTS: readonly Shortcut[] = [
  { key: "?", does: "Show this list", run: () => toggle(isHelpOpen) },
  { key: "n", does: "New chat", run: newChat },
  { key: "i", does: "Write a message", run: focusComposer },
  { key: "/", does: "Search conversations", run: searchChats },
  { key: "b", does: "Show or hide conversations", run: () => toggle(isListOpen) },
  { key: "s", does: "Show or hide settings", run: () => toggle(isSettingsOpen) },
  { key: "e", does: "Edit the last message", run: editLast },
  { key: "r", does: "Regenerate the last answer", run: regenerateLast },
  { key: "c", does: "Copy the last answer", run: () => void copyLast() },
];

const FIXED: readonly [string, string][] = [
  ["Enter", "Send"],
  ["Shift+Enter", "New line"],
  ["↑", "Edit the last message, from an empty box"],
  ["Escape", "Stop the answer, leave the box, close what is open"],
];

function toggle(open: { value: boolean }): void {
  open.value = !open.value;
}

function searchChats(): void {
  isListOpen.value = true;
  setTimeout(() => document.querySelector<HTMLInputElement>("#search")?.focus());
}

function regenerateLast(): void {
  const last = lastAnswer();
  if (last) void regenerate(last);
}

async function copyLast(): Promise<void> {
  const last = lastAnswer();
  if (last) announce((await copy(last.text)) ? "Answer copied" : "Copying failed");
}

export function listenToKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") return onEscape();
    const isWriting = event.target instanceof Element && event.target.closest("input, textarea, select");
    if (isWriting || document.querySelector("dialog[open]") || !settings.value.hasSingleKeys) return;
    const shortcut = SHORTCUTS.find(({ key }) => key === event.key);
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run();
  });
}

function onEscape(): void {
  if (document.querySelector("dialog[open]")) return; // closes itself
  if (isRunning(chat.value.conversation.id)) stop();
  else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
}

export function Shortcuts(): VNode | null {
  if (!isHelpOpen.value) return null;
  const close = (): void => {
    isHelpOpen.value = false;
  };
  const rows = [
    ...FIXED,
    ...(settings.value.hasSingleKeys ? SHORTCUTS.map(({ key, does }) => [key, does] as const) : []),
  ];
  return (
    <Dialog label="Keyboard" kind="box" onClose={close}>
      <header class="panel-head">
        <h2>Keyboard</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <dl class="keys">
        {rows.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
