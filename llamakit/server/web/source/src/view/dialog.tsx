// Modal dialogs: the browser keeps the focus inside and gives it back; Escape and a click beside close.

import type { ComponentChildren, VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Props {
  label: string;
  kind: "box" | "left" | "right";
  onClose: () => void;
  children: ComponentChildren;
}

export function Dialog({ label, kind, onClose, children }: Props): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`dialog ${kind}`}
      aria-label={label}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      <div class="dialog-body">{children}</div>
    </dialog>
  );
}

/** A part at the side: beside the conversation where there is room, else a drawer over it. */
export function Panel({
  side,
  label,
  isDrawer,
  onClose,
  children,
}: {
  side: "left" | "right";
  label: string;
  isDrawer: boolean;
  onClose: () => void;
  children: ComponentChildren;
}): VNode {
  if (isDrawer) {
    return (
      <Dialog label={label} kind={side} onClose={onClose}>
        {children}
      </Dialog>
    );
  }
  return (
    <aside class={`panel ${side}`} aria-label={label}>
      {children}
    </aside>
  );
}

/** A question before something that cannot be undone. */
export function Confirm({
  question,
  action,
  onYes,
  onClose,
}: {
  question: string;
  action: string;
  onYes: () => void;
  onClose: () => void;
}): VNode {
  return (
    <Dialog label={question} kind="box" onClose={onClose}>
      <p>{question}</p>
      <div class="row end">
        <button type="button" class="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="button"
          class="button danger"
          onClick={() => {
            onClose();
            onYes();
          }}
        >
          {action}
        </button>
      </div>
    </Dialog>
  );
}
