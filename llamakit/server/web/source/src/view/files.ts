// Texts to and from files of the reader.

export function saveText(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The text of a file that the reader chooses, or null. */
export function chooseText(): Promise<string | null> {
  const input = Object.assign(document.createElement("input"), { type: "file", accept: ".json,application/json" });
  return new Promise((resolve) => {
    input.addEventListener("change", () => resolve(input.files?.[0]?.text() ?? null));
    input.addEventListener("cancel", () => resolve(null));
    input.click();
  });
}
