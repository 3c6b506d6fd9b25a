// A message's text while it is edited.

import type { VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

interface Props {
  text: string;
  action: string;
  onDone: (text: string) => void;
  onCancel: () => void;
}

export function Editor({ text: begun, action, onDone, onCancel }: Props): VNode {
  const [text, setText] = useState(begun);
  const box = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    box.current?.focus();
    box.current?.setSelectionRange(begun.length, begun.length);
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (text.trim()) onDone(text.trim());
  };
  return (
    <form class="editor" onSubmit={submit}>
      <textarea
        ref={box}
        aria-label="Edited message"
        rows={Math.min(Math.max(text.split("\n").length, 2), 16)}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.stopPropagation();
            onCancel();
          } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
        }}
      />
      <div class="row end">
        <button type="button" class="button" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" class="button primary" disabled={!text.trim()}>
          {action}
        </button>
      </div>
    </form>
  );
}
