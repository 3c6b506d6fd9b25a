import { render } from "preact";
import { askServer } from "./api/server.ts";
import { loadList } from "./chat/chats.ts";
import { App } from "./view/app.tsx";
import { focusComposer } from "./view/composer.tsx";
import { isNarrow } from "./view/layout.ts";
import { followLocation } from "./view/location.ts";
import { listenToKeys } from "./view/shortcuts.tsx";

render(<App />, document.body);
listenToKeys();
void askServer();
addEventListener("visibilitychange", () => {
  if (!document.hidden) void loadList(); // other tabs may have changed it
});
if (!isNarrow.value) focusComposer();
await Promise.all([loadList(), followLocation()]);
