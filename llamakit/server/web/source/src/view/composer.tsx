// Where the reader writes. Enter sends, Shift+Enter makes a line, Escape stops the answer.

import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";
import { props } from "../api/server.ts";
import { isRunning, send, stop } from "../chat/answering.ts";
import { chat, thread } from "../chat/chats.ts";
import { count } from "./format.ts";
import { Icon } from "./icon.tsx";
import { isNarrow } from "./layout.ts";
import { editLast } from "./message.tsx";

const MOST_ROWS = 12;

export function focusComposer(): void {
  document.querySelector<HTMLTextAreaElement>("#composer")?.focus();
}

export function Composer(): VNode {
  const [text, setText] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  const isBusy = isRunning(chat.value.conversation.id);

  const submit = (event?: Event): void => {
    event?.preventDefault();
    if (isBusy) return stop();
    if (!text.trim()) return;
    setText("");
    void send(text.trim());
    if (!isNarrow.value) box.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !isBusy) submit(event);
    if (event.key === "ArrowUp" && !text) {
      event.preventDefault();
      editLast();
    }
  };

  return (
    <form class="composer" onSubmit={submit}>
      <div class="composer-box">
        <textarea
          id="composer"
          ref={box}
          aria-label="Message"
          placeholder="Write a message"
          rows={Math.min(text.split("\n").length, MOST_ROWS)}
          value={text}
          enterkeyhint="send"
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {isBusy ? (
          <button type="submit" class="send" aria-label="Stop" title="Stop (Escape)">
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="send" aria-label="Send" title="Send (Enter)" disabled={!text.trim()}>
            <Icon name="send" />
          </button>
        )}
      </div>
      <ContextUse />
    </form>
  );
}

/** How much of the model's context the conversation takes. */
function ContextUse(): VNode {
  const usage = thread.value.findLast((message) => message.answer?.usage)?.answer?.usage;
  const nCtx = props.value.nCtx;
  const used = usage ? usage.prompt + usage.completion : 0;
  return (
    <p class="hint">
      {usage && nCtx ? (
        <span class={used > 0.9 * nCtx ? "warning" : undefined}>
          {count(used)} of {count(nCtx)} tokens of context
        </span>
      ) : (
        <span>Kept in this browser only. Models make mistakes.</span>
      )}
    </p>
  );
}
