// Above the conversation: the list, the model, the look, settings and help.

import type { VNode } from "preact";
import { model, models } from "../api/server.ts";
import { change, settings } from "../settings.ts";
import { Icon } from "./icon.tsx";
import { isDark, isHelpOpen, isListOpen, isSettingsOpen } from "./layout.ts";

export function TopBar(): VNode {
  const dark = isDark();
  const nChanged = Object.keys(settings.value.fields).length;
  return (
    <header class="top-bar">
      {!isListOpen.value && (
        <button
          type="button"
          class="icon-button"
          aria-label="Conversations"
          title="Conversations (b)"
          onClick={() => {
            isListOpen.value = true;
          }}
        >
          <Icon name="side" />
        </button>
      )}
      <ModelChoice />
      <span class="space" />
      <button
        type="button"
        class="icon-button"
        aria-label={dark ? "Light theme" : "Dark theme"}
        title={dark ? "Light theme" : "Dark theme"}
        onClick={() => change({ theme: dark ? "light" : "dark" })}
      >
        <Icon name={dark ? "sun" : "moon"} />
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
        onClick={() => {
          isHelpOpen.value = true;
        }}
      >
        <Icon name="help" />
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label={nChanged ? `Settings, ${nChanged} changed` : "Settings"}
        aria-expanded={isSettingsOpen.value}
        title="Settings (s)"
        onClick={() => {
          isSettingsOpen.value = !isSettingsOpen.value;
        }}
      >
        <Icon name="settings" />
        {nChanged > 0 && <span class="dot" />}
      </button>
    </header>
  );
}

function ModelChoice(): VNode {
  if (models.value.length < 2) return <h1 class="model">{model.value?.id ?? "llamakit"}</h1>;
  return (
    <h1 class="model">
      <select
        aria-label="Model"
        value={model.value?.id}
        onChange={(event) => change({ model: event.currentTarget.value })}
      >
        {models.value.map(({ id }) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
      </select>
    </h1>
  );
}
