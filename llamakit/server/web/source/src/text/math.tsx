// Math as MathML, once the renderer has come; TeX that it cannot read stays as it is.

import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

type Typeset = typeof import("./typeset.ts").typeset;

let typesetter: Typeset | null = null;

export function MathText({ tex, isBlock }: { tex: string; isBlock: boolean }): VNode {
  const typeset = useTypesetter();
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (place.current !== null && typeset !== null) place.current.replaceChildren(typeset(tex, isBlock));
  }, [typeset, tex, isBlock]);
  return (
    <span class={isBlock ? "math block" : "math"} ref={place} key={tex}>
      {tex}
    </span>
  );
}

function useTypesetter(): Typeset | null {
  const [, setLoaded] = useState(typesetter !== null);
  useEffect(() => {
    if (typesetter !== null) return;
    import("./typeset.ts").then(
      (module) => {
        typesetter = module.typeset;
        setLoaded(true);
      },
      () => undefined,
    );
  }, []);
  return typesetter;
}
