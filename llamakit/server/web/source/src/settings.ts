// What the reader chose, kept in this browser. The API key is kept only if asked.

import { effect, signal } from "@preact/signals";

export type FieldValue = number | boolean | string | string[];

export interface Settings {
  /** Fields of requests that differ from the server's defaults. */
  fields: Record<string, FieldValue>;
  /** The system prompt that new chats begin with. */
  system: string;
  /** A JSON schema that answers must follow, as text; empty for none. */
  schema: string;
  /** A JSON object of further fields, as text. */
  extra: string;
  hasProbabilities: boolean;
  model: string | null;
  theme: "auto" | "light" | "dark";
  hasSingleKeys: boolean;
}

const DEFAULTS: Settings = {
  fields: {},
  system: "",
  schema: "",
  extra: "",
  hasProbabilities: false,
  model: null,
  theme: "auto",
  hasSingleKeys: true,
};

type Check = (value: unknown) => boolean;

const isObject: Check = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isText: Check = (value) => typeof value === "string";
const isFlag: Check = (value) => typeof value === "boolean";
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText);
const isField: Check = (value) => isText(value) || isFlag(value) || Number.isFinite(value) || isTexts(value);

const CHECKS: Record<keyof Settings, Check> = {
  fields: (value) => isObject(value) && Object.values(value as object).every(isField),
  system: isText,
  schema: isText,
  extra: isText,
  hasProbabilities: isFlag,
  model: (value) => value === null || isText(value),
  theme: (value) => value === "auto" || value === "light" || value === "dark",
  hasSingleKeys: isFlag,
};

const SETTINGS = "llamakit.settings";
const KEY = "llamakit.key";

export const settings = signal<Settings>(load());
export const apiKey = signal(localStorage.getItem(KEY) ?? "");
export const isKeyKept = signal(localStorage.getItem(KEY) !== null);

export function change(part: Partial<Settings>): void {
  settings.value = { ...settings.value, ...part };
}

/** Undefined gives the field back to the server. */
export function changeField(name: string, value: FieldValue | undefined): void {
  const { [name]: _, ...others } = settings.value.fields;
  change({ fields: value === undefined ? others : { ...others, [name]: value } });
}

/** What was stored, but for parts that are damaged, or of another release. */
function load(): Settings {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(SETTINGS) ?? "{}");
    if (!isObject(stored)) return DEFAULTS;
    const sound = Object.entries(stored as object).filter(([name, value]) => CHECKS[name as keyof Settings]?.(value));
    return { ...DEFAULTS, ...(Object.fromEntries(sound) as Partial<Settings>) };
  } catch {
    return DEFAULTS;
  }
}

effect(() => localStorage.setItem(SETTINGS, JSON.stringify(settings.value)));
effect(() => {
  if (isKeyKept.value && apiKey.value) localStorage.setItem(KEY, apiKey.value);
  else localStorage.removeItem(KEY);
});
