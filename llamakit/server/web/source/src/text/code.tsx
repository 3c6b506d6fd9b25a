// A block of code: its language, a button that copies it, and colours once the highlighter has come.

import type { ElementContent } from "hast";
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { CopyButton } from "../view/copy_button.tsx";

type Highlight = typeof import("./highlight.ts").highlight;

const MOST_COLOURED = 50_000; // characters; longer ones stay plain, so that the page never stalls

let highlighter: Highlight | null = null;

export function CodeBlock({ code, language }: { code: string; language: string }): VNode {
  const highlight = useHighlighter(language !== "");
  const nodes = highlight && code.length <= MOST_COLOURED ? highlight(code, language) : null;
  return (
    <figure class="code">
      <figcaption>
        <span>{language || "text"}</span>
        <CopyButton text={code} label="Copy code" />
      </figcaption>
      <pre tabIndex={0} aria-label={language ? `Code in ${language}` : "Code"}>
        <code>{nodes ? coloured(nodes) : code}</code>
      </pre>
    </figure>
  );
}

function useHighlighter(isWanted: boolean): Highlight | null {
  const [, setLoaded] = useState(highlighter !== null);
  useEffect(() => {
    if (!isWanted || highlighter !== null) return;
    import("./highlight.ts").then(
      (module) => {
        highlighter = module.highlight;
        setLoaded(true);
      },
      () => undefined, // plain code is readable, too
    );
  }, [isWanted]);
  return highlighter;
}

function coloured(nodes: readonly ElementContent[]): ComponentChildren {
  return nodes.map((node, i) => {
    if (node.type === "text") return node.value;
    if (node.type !== "element") return null;
    return (
      <span key={i} class={(node.properties.className as string[]).join(" ")}>
        {coloured(node.children)}
      </span>
    );
  });
}
