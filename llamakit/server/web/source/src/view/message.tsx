// One message: its text, what can be done with it, and the branches beside it.

import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { edit, isRunning, regenerate } from "../chat/answering.ts";
import { chat, switchTo, thread } from "../chat/chats.ts";
import { type Answer, type Message, siblings } from "../chat/conversation.ts";
import { CodeBlock } from "../text/code.tsx";
import { Markdown } from "../text/markdown.tsx";
import { announce } from "./announcer.tsx";
import { CopyButton } from "./copy_button.tsx";
import { Editor } from "./editor.tsx";
import { Icon } from "./icon.tsx";
import { Notice } from "./notice.tsx";
import { Probabilities } from "./probabilities.tsx";
import { Speed } from "./speed.tsx";

/** The message that is being edited. */
export const edited = signal<string | null>(null);

export function editLast(): void {
  edited.value = thread.value.findLast((message) => message.role === "user")?.id ?? null;
}

export function MessageView({ message }: { message: Message }): VNode {
  const isUser = message.role === "user";
  return (
    <article class={`message ${message.role}`} aria-label={isUser ? "You" : "Answer"}>
      <h2 class="away">{isUser ? "You" : "Answer"}</h2>
      {edited.value === message.id ? (
        <Editor
          text={message.text}
          action={isUser ? "Send" : "Save"}
          onDone={(text) => {
            if (isRunning(message.conversation)) return announce("Wait for the answer, or stop it");
            edited.value = null;
            void edit(message, text);
          }}
          onCancel={() => {
            edited.value = null;
          }}
        />
      ) : isUser ? (
        <div class="bubble">{message.text}</div>
      ) : (
        <AnswerView message={message} answer={message.answer ?? { finish: "stop" }} />
      )}
    </article>
  );
}

function AnswerView({ message, answer }: { message: Message; answer: Answer }): VNode {
  const [hasTokens, setTokens] = useState(false);
  const isWriting = answer.finish === "running" && isRunning(message.conversation);
  return (
    <div class={isWriting ? "answer writing" : "answer"} aria-busy={isWriting}>
      {answer.reasoning && <Reasoning text={answer.reasoning} isOver={Boolean(message.text) || !isWriting} />}
      {hasTokens && answer.tokens ? (
        <Probabilities tokens={answer.tokens} />
      ) : answer.isJson && message.text ? (
        <CodeBlock code={message.text} language="json" />
      ) : (
        <Markdown text={message.text} />
      )}
      {answer.calls?.map((call, i) => (
        <details key={i} class="fold">
          <summary>Calls {call.name || "a function"}</summary>
          <pre tabIndex={0}>{call.arguments}</pre>
        </details>
      ))}
      {isWriting && !message.text && !answer.reasoning && <Waiting progress={answer.progress} />}
      {answer.problem && <Notice problem={answer.problem} onRetry={() => void regenerate(message)} />}
      {answer.tokens && !isWriting && (
        <button type="button" class="chip" aria-pressed={hasTokens} onClick={() => setTokens(!hasTokens)}>
          <Icon name="tokens" /> Token probabilities
        </button>
      )}
      {!isWriting && <Speed answer={answer} />}
    </div>
  );
}

/** Before the first token: how far the prompt has been read, where the server tells. */
function Waiting({ progress }: { progress: number | undefined }): VNode {
  if (progress === undefined || progress >= 1) {
    return (
      <p class="waiting" role="img" aria-label="Waiting for the first words">
        <i />
        <i />
        <i />
      </p>
    );
  }
  return (
    <label class="waiting">
      Reading the prompt
      <progress max={1} value={progress} />
      {Math.round(100 * progress)} %
    </label>
  );
}

function Reasoning({ text, isOver }: { text: string; isOver: boolean }): VNode {
  return (
    <details class="fold reasoning">
      <summary>{isOver ? "Reasoning" : "Thinking…"}</summary>
      <Markdown text={text} />
    </details>
  );
}

/** The row of buttons below a message. */
export function Actions({ message }: { message: Message }): VNode {
  const isBusy = isRunning(message.conversation);
  return (
    <div class={`actions ${message.role}`}>
      <Branches message={message} isBusy={isBusy} />
      <CopyButton text={message.text} label="Copy message" />
      <button
        type="button"
        class="icon-button"
        aria-label="Edit"
        title="Edit, on a new branch"
        disabled={isBusy}
        onClick={() => {
          edited.value = message.id;
        }}
      >
        <Icon name="pencil" />
      </button>
      {message.role === "assistant" && (
        <button
          type="button"
          class="icon-button"
          aria-label="Regenerate"
          title="Regenerate, on a new branch (r)"
          disabled={isBusy}
          onClick={() => void regenerate(message)}
        >
          <Icon name="redo" />
        </button>
      )}
    </div>
  );
}

function Branches({ message, isBusy }: { message: Message; isBusy: boolean }): VNode | null {
  const all = siblings(chat.value.messages, message);
  if (all.length < 2) return null;
  const at = all.findIndex((one) => one.id === message.id);
  const step = (by: number): VNode => {
    const other = all[at + by];
    return (
      <button
        type="button"
        class="icon-button"
        aria-label={by < 0 ? "Previous branch" : "Next branch"}
        disabled={isBusy || other === undefined}
        onClick={() => other && void switchTo(other.id)}
      >
        <Icon name={by < 0 ? "left" : "right"} />
      </button>
    );
  };
  return (
    <span class="branches" role="group" aria-label="Branches">
      {step(-1)}
      <span>
        {at + 1}/{all.length}
      </span>
      {step(1)}
    </span>
  );
}
