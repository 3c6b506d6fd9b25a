// One setting of a request; empty leaves it to the server, whose own value is shown.

import type { VNode } from "preact";
import { props } from "../api/server.ts";
import type { Field } from "../chat/fields.ts";
import { changeField, type FieldValue, settings } from "../settings.ts";

const DRAWN_SEED = 0xffffffff;

interface Props {
  field: Field;
  value: FieldValue | undefined;
  id: string;
  onChange: (value: FieldValue | undefined) => void;
}

export function FieldRow({ field }: { field: Field }): VNode {
  const id = `field-${field.name}`;
  const value = settings.value.fields[field.name];
  const onChange = (changed: FieldValue | undefined): void => changeField(field.name, changed);
  const isWide = field.kind === "text" || field.kind === "lines";
  return (
    <div class={isWide ? "field wide" : "field"}>
      <label for={id}>
        {field.label}
        {value !== undefined && <span class="away"> (changed)</span>}
      </label>
      <Input field={field} value={value} id={id} onChange={onChange} />
      <p class="hint" id={`${id}-help`}>
        {field.help}
      </p>
    </div>
  );
}

function Input(given: Props): VNode {
  switch (given.field.kind) {
    case "boolean":
      return (
        <Choice {...given} choices={["on", "off"]} read={(text) => text === "on"} write={(on) => (on ? "on" : "off")} />
      );
    case "choice":
      return <Choice {...given} choices={given.field.choices ?? []} read={(text) => text} write={String} />;
    case "text":
    case "lines":
      return <Text {...given} />;
    default:
      return <NumberInput {...given} />;
  }
}

function NumberInput({ field, value, id, onChange }: Props): VNode {
  return (
    <input
      id={id}
      type="number"
      inputMode="decimal"
      aria-describedby={`${id}-help`}
      class={value === undefined ? undefined : "changed"}
      min={field.min}
      max={field.max}
      step={field.kind === "integer" ? 1 : "any"}
      placeholder={defaultOf(field.name)}
      value={value === undefined ? "" : String(value)}
      onChange={(event) => {
        const { value: text, valueAsNumber: number, validity } = event.currentTarget;
        if (text === "" && !validity.badInput) onChange(undefined);
        else if (event.currentTarget.reportValidity()) onChange(number);
      }}
    />
  );
}

function Choice({
  field,
  value,
  id,
  onChange,
  choices,
  read,
  write,
}: Props & {
  choices: readonly string[];
  read: (text: string) => FieldValue;
  write: (value: FieldValue) => string;
}): VNode {
  const serverValue = defaultOf(field.name);
  return (
    <select
      id={id}
      aria-describedby={`${id}-help`}
      class={value === undefined ? undefined : "changed"}
      value={value === undefined ? "" : write(value)}
      onChange={(event) => onChange(event.currentTarget.value ? read(event.currentTarget.value) : undefined)}
    >
      <option value="">{serverValue ? `${serverValue} (default)` : "default"}</option>
      {choices.map((choice) => (
        <option key={choice} value={choice}>
          {choice}
        </option>
      ))}
    </select>
  );
}

/** A text, or one entry a line. */
function Text({ field, value, id, onChange }: Props): VNode {
  const isList = field.kind === "lines";
  return (
    <textarea
      id={id}
      rows={isList ? 2 : 4}
      spellcheck={false}
      aria-describedby={`${id}-help`}
      class={value === undefined ? undefined : "changed"}
      placeholder={defaultOf(field.name)}
      value={Array.isArray(value) ? linesOf(value) : String(value ?? "")}
      onChange={(event) => {
        const text = event.currentTarget.value;
        const entries = entriesOf(text);
        if (isList) onChange(entries.length ? entries : undefined);
        else onChange(text.trim() ? text : undefined);
      }}
    />
  );
}

/** Entries, one a line; a line end within one is written \n. */
function linesOf(entries: readonly string[]): string {
  return entries.map((entry) => entry.replaceAll("\n", "\\n")).join("\n");
}

function entriesOf(lines: string): string[] {
  return lines
    .split("\n")
    .filter(Boolean)
    .map((line) => line.replaceAll("\\n", "\n"));
}

/** The server's own value as a text; empty where it tells none. */
function defaultOf(name: string): string {
  const value = props.value.defaults[name];
  if (name === "seed" && value === DRAWN_SEED) return "-1";
  if (typeof value === "number") return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "string") return value;
  return Array.isArray(value) ? linesOf(value.map(String)) : "";
}
