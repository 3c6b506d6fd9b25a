// The conversation in view; it follows an answer as long as the reader is at its end.

import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { askServer, model, serverProblem } from "../api/server.ts";
import { chat, storeProblem, thread } from "../chat/chats.ts";
import type { Message } from "../chat/conversation.ts";
import { announce, sentences } from "./announcer.tsx";
import { Icon } from "./icon.tsx";
import { briefFacts } from "./model_facts.tsx";
import { Actions, MessageView } from "./message.tsx";
import { Notice } from "./notice.tsx";

const NEAR_PX = 48;

export function Thread(): VNode {
  const messages = thread.value;
  const scroller = useRef<HTMLDivElement>(null);
  const [isAtEnd, setAtEnd] = useState(true);
  const toEnd = (): void => {
    if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  const onScroll = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = scroller.current ?? new HTMLElement();
    setAtEnd(scrollHeight - scrollTop - clientHeight < NEAR_PX);
  };
  useLayoutEffect(() => {
    if (isAtEnd) toEnd();
  }, [messages]);
  useLayoutEffect(toEnd, [chat.value.conversation.id, messages.length]);
  useSpokenAnswer(messages[messages.length - 1]);
  return (
    <div class="scroller" ref={scroller} onScroll={onScroll}>
      <div class="thread" role="log" aria-label="Conversation" aria-live="off">
        {serverProblem.value && <Notice problem={serverProblem.value} onRetry={() => void askServer()} />}
        {storeProblem.value && <Notice problem={storeProblem.value} onRetry={() => undefined} />}
        {messages.length === 0 && <Welcome />}
        {messages.map((message) => (
          <div key={message.id} class="turn">
            <MessageView message={message} />
            <Actions message={message} />
          </div>
        ))}
      </div>
      {!isAtEnd && (
        <button type="button" class="to-end" aria-label="Jump to the end" onClick={toEnd}>
          <Icon name="down" />
        </button>
      )}
    </div>
  );
}

function Welcome(): VNode {
  return (
    <div class="welcome">
      <h2>{model.value?.id ?? "llamakit"}</h2>
      <p>Ask anything. What you write goes to this server and nowhere else.</p>
      <p class="hint">{briefFacts()}</p>
    </div>
  );
}

/** Reads an answer to screen readers, sentence by sentence while it is written, the rest at its end. */
function useSpokenAnswer(last: Message | undefined): void {
  const spoken = useRef({ id: "", length: 0 });
  useEffect(() => {
    if (last?.role !== "assistant") return;
    const isWriting = last.answer?.finish === "running";
    if (spoken.current.id !== last.id) spoken.current = { id: last.id, length: isWriting ? 0 : last.text.length };
    const rest = last.text.slice(spoken.current.length);
    const ready = isWriting ? sentences(rest) : rest;
    if (!ready) return;
    spoken.current.length += ready.length;
    announce(ready);
  }, [last]);
}
