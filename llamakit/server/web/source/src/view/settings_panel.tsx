// All settings: what is said to the model first, how it draws, what it must follow; the key; the look.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { askServer } from "../api/server.ts";
import { changeSystem, chat } from "../chat/chats.ts";
import { GROUPS } from "../chat/fields.ts";
import { jsonProblem } from "../chat/request.ts";
import { apiKey, change, isKeyKept, settings } from "../settings.ts";
import { Panel } from "./dialog.tsx";
import { FieldRow } from "./field.tsx";
import { Icon } from "./icon.tsx";
import { isCompact, isSettingsOpen } from "./layout.ts";
import { ModelFacts } from "./model_facts.tsx";

export function SettingsPanel(): VNode | null {
  if (!isSettingsOpen.value) return null;
  const close = (): void => {
    isSettingsOpen.value = false;
  };
  const nChanged = Object.keys(settings.value.fields).length;
  return (
    <Panel side="right" label="Settings" isDrawer={isCompact.value} onClose={close}>
      <header class="panel-head">
        <h2>Settings</h2>
        <button type="button" class="icon-button" aria-label="Close settings" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <div class="panel-scroll settings">
        <SystemPrompt />
        <section>
          <label for="schema">JSON schema</label>
          <JSONText id="schema" placeholder={'{ "type": "object", … }'} name="schema" />
          <p class="hint">Answers follow it, token by token. Empty for free text.</p>
        </section>
        <section>
          <Check
            label="Token probabilities"
            help="Ask for the likeliest tokens at each place; answers then show them on hover."
            isOn={settings.value.hasProbabilities}
            onChange={(hasProbabilities) => change({ hasProbabilities })}
          />
        </section>
        {GROUPS.map(({ title, fields, isOpen }) => {
          const n = fields.filter(({ name }) => name in settings.value.fields).length;
          return (
            <details key={title} class="group" open={isOpen}>
              <summary>
                {title} {n > 0 && <span class="badge">{n} changed</span>}
              </summary>
              {fields.map((field) => (
                <FieldRow key={field.name} field={field} />
              ))}
            </details>
          );
        })}
        <details class="group">
          <summary>Further fields</summary>
          <label for="extra" class="away">
            Further fields
          </label>
          <JSONText id="extra" placeholder={'{ "id_slot": 0 }'} name="extra" />
          <p class="hint">A JSON object put into every request.</p>
        </details>
        <section>
          <button type="button" class="button" disabled={nChanged === 0} onClick={() => change({ fields: {} })}>
            Back to the server's defaults
          </button>
        </section>
        <Key />
        <Look />
        <ModelFacts />
      </div>
    </Panel>
  );
}

function SystemPrompt(): VNode {
  return (
    <section>
      <label for="system">System prompt</label>
      <textarea
        id="system"
        rows={4}
        placeholder="You are a helpful assistant."
        value={chat.value.conversation.system}
        onChange={(event) => void changeSystem(event.currentTarget.value)}
      />
      <p class="hint">Said to the model first, in this conversation and in new ones.</p>
    </section>
  );
}

function JSONText({ id, name, placeholder }: { id: string; name: "schema" | "extra"; placeholder: string }): VNode {
  const [text, setText] = useState(settings.value[name]);
  const wrong = jsonProblem(text);
  return (
    <>
      <textarea
        id={id}
        class="mono"
        rows={5}
        spellcheck={false}
        placeholder={placeholder}
        aria-invalid={wrong !== null}
        aria-describedby={`${id}-problem`}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          change({ [name]: event.currentTarget.value });
        }}
      />
      <p class="problem" id={`${id}-problem`} role="status">
        {wrong}
      </p>
    </>
  );
}

function Check({
  label,
  help,
  isOn,
  onChange,
}: {
  label: string;
  help: string;
  isOn: boolean;
  onChange: (isOn: boolean) => void;
}): VNode {
  return (
    <label class="check">
      <input type="checkbox" checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>
        {label}
        <span class="hint">{help}</span>
      </span>
    </label>
  );
}

function Key(): VNode {
  return (
    <form onSubmit={(event) => event.preventDefault()}>
      <label for="api-key">API key</label>
      <input
        id="api-key"
        type="password"
        autocomplete="off"
        value={apiKey.value}
        onChange={(event) => {
          apiKey.value = event.currentTarget.value.trim();
          void askServer();
        }}
      />
      <Check
        label="Keep it in this browser"
        help="Else it is forgotten when the page closes."
        isOn={isKeyKept.value}
        onChange={(isKept) => {
          isKeyKept.value = isKept;
        }}
      />
    </form>
  );
}

function Look(): VNode {
  const themes = { auto: "As the system", light: "Light", dark: "Dark" } as const;
  return (
    <section>
      <label for="theme">Theme</label>
      <select
        id="theme"
        value={settings.value.theme}
        onChange={(event) => change({ theme: event.currentTarget.value as keyof typeof themes })}
      >
        {Object.entries(themes).map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      <Check
        label="Shortcuts of a single key"
        help="Such as n for a new chat; never while you write."
        isOn={settings.value.hasSingleKeys}
        onChange={(hasSingleKeys) => change({ hasSingleKeys })}
      />
    </section>
  );
}
