// The conversations of this browser: find, open, rename, delete, export, import.

import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isRunning } from "../chat/answering.ts";
import { chat, conversations, exportChats, importChats, removeChat, rename, search, startChat } from "../chat/chats.ts";
import type { Conversation } from "../chat/conversation.ts";
import { announce } from "./announcer.tsx";
import { focusComposer } from "./composer.tsx";
import { Confirm, Panel } from "./dialog.tsx";
import { chooseText, saveText } from "./files.ts";
import { day } from "./format.ts";
import { Icon } from "./icon.tsx";
import { isListOpen, isNarrow } from "./layout.ts";
import { addressOf } from "./location.ts";

export function newChat(): void {
  startChat();
  if (isNarrow.value) isListOpen.value = false;
  setTimeout(focusComposer);
}

export function ChatList(): VNode | null {
  const found = useFound();
  const problem = useSignal("");
  if (!isListOpen.value) return null;
  const close = (): void => {
    isListOpen.value = false;
  };
  const onImport = async (): Promise<void> => {
    problem.value = "";
    try {
      const text = await chooseText();
      if (text !== null) announce(`${await importChats(text)} conversations imported`);
    } catch (error) {
      problem.value = (error as Error).message;
    }
  };
  const shown = conversations.value.filter(({ id }) => found.ids === null || found.ids.has(id));
  return (
    <Panel side="left" label="Conversations" isDrawer={isNarrow.value} onClose={close}>
      <header class="panel-head">
        <button type="button" class="button new" onClick={newChat}>
          <Icon name="plus" /> New chat
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Close the list"
          title="Close the list (b)"
          onClick={close}
        >
          <Icon name="side" />
        </button>
      </header>
      <div class="search">
        <Icon name="search" />
        <input
          id="search"
          type="search"
          placeholder="Search"
          aria-label="Search conversations"
          value={found.query}
          onInput={(event) => found.setQuery(event.currentTarget.value)}
        />
      </div>
      <nav class="panel-scroll chats" aria-label="Conversations">
        <Groups shown={shown} />
        {shown.length === 0 && <p class="hint">{found.query ? "Nothing found." : "No conversations yet."}</p>}
      </nav>
      <footer class="panel-foot">
        {problem.value && (
          <p class="problem" role="alert">
            {problem.value}
          </p>
        )}
        <button type="button" class="button quiet" onClick={() => void onImport()}>
          <Icon name="import" /> Import
        </button>
        <button
          type="button"
          class="button quiet"
          disabled={conversations.value.length === 0}
          onClick={async () => saveText("conversations.json", await exportChats())}
        >
          <Icon name="export" /> Export all
        </button>
      </footer>
    </Panel>
  );
}

/** The query, and the ids that it finds; null for all. */
function useFound(): { query: string; setQuery: (query: string) => void; ids: Set<string> | null } {
  const [query, setQuery] = useState("");
  const [ids, setIds] = useState<Set<string> | null>(null);
  useEffect(() => {
    let isLatest = true;
    if (!query.trim()) setIds(null);
    else
      void search(query).then((found) => {
        if (isLatest) setIds(found);
      });
    return () => {
      isLatest = false;
    };
  }, [query, conversations.value]);
  return { query, setQuery, ids };
}

function Groups({ shown }: { shown: readonly Conversation[] }): VNode {
  const groups = new Map<string, Conversation[]>();
  for (const one of shown) {
    const name = day(one.updated, Date.now());
    groups.set(name, [...(groups.get(name) ?? []), one]);
  }
  return (
    <>
      {[...groups].map(([name, members]) => (
        <section key={name}>
          <h2>{name}</h2>
          <ul>
            {members.map((one) => (
              <Row key={one.id} conversation={one} />
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}

function Row({ conversation }: { conversation: Conversation }): VNode {
  const [mode, setMode] = useState<"shown" | "renamed" | "deleted">("shown");
  const { id, title } = conversation;
  const isCurrent = chat.value.conversation.id === id;
  if (mode === "renamed") {
    return (
      <li class="chat">
        <TitleInput
          title={title}
          onDone={(text) => {
            setMode("shown");
            if (text !== null) void rename(conversation, text);
          }}
        />
      </li>
    );
  }
  return (
    <li class={isCurrent ? "chat current" : "chat"}>
      <a
        href={addressOf(id)}
        aria-current={isCurrent ? "page" : undefined}
        title={title}
        onClick={() => {
          if (isNarrow.value) isListOpen.value = false;
        }}
      >
        {title}
        {isRunning(id) && <span class="pulse" role="img" aria-label="being answered" />}
      </a>
      <span class="chat-actions">
        <RowButton icon="pencil" label={`Rename ${title}`} onClick={() => setMode("renamed")} />
        <RowButton
          icon="export"
          label={`Export ${title}`}
          onClick={async () => saveText("conversation.json", await exportChats(id))}
        />
        <RowButton icon="trash" label={`Delete ${title}`} onClick={() => setMode("deleted")} />
      </span>
      {mode === "deleted" && (
        <Confirm
          question={`Delete “${title}”? It cannot be brought back.`}
          action="Delete"
          onYes={() => void removeChat(id)}
          onClose={() => setMode("shown")}
        />
      )}
    </li>
  );
}

function RowButton({
  icon,
  label,
  onClick,
}: {
  icon: "pencil" | "export" | "trash";
  label: string;
  onClick: () => void;
}): VNode {
  return (
    <button type="button" class="icon-button small" aria-label={label} title={label.split(" ", 1)[0]} onClick={onClick}>
      <Icon name={icon} />
    </button>
  );
}

/** Enter and leaving keep the new title, Escape the old one. */
function TitleInput({ title, onDone }: { title: string; onDone: (title: string | null) => void }): VNode {
  const isDone = useRef(false); // as it also loses the focus when it goes
  const finish = (text: string | null): void => {
    if (isDone.current) return;
    isDone.current = true;
    onDone(text);
  };
  return (
    <input
      class="title-input"
      aria-label="Title"
      defaultValue={title}
      ref={(input) => input?.select()}
      onKeyDown={(event) => {
        if (event.key === "Enter") finish(event.currentTarget.value);
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        finish(null);
      }}
      onBlur={(event) => finish(event.currentTarget.value)}
    />
  );
}
