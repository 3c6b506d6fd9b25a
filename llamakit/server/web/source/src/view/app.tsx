import type { VNode } from "preact";
import { Announcer } from "./announcer.tsx";
import { ChatList } from "./chat_list.tsx";
import { Composer, focusComposer } from "./composer.tsx";
import { SettingsPanel } from "./settings_panel.tsx";
import { Shortcuts } from "./shortcuts.tsx";
import { Thread } from "./thread.tsx";
import { TopBar } from "./top_bar.tsx";

export function App(): VNode {
  return (
    <div class="page">
      <a
        class="skip"
        href="#composer"
        onClick={(event) => {
          event.preventDefault();
          focusComposer();
        }}
      >
        Skip to the message box
      </a>
      <ChatList />
      <main class="main">
        <TopBar />
        <Thread />
        <Composer />
      </main>
      <SettingsPanel />
      <Shortcuts />
      <Announcer />
    </div>
  );
}
