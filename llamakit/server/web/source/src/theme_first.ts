// Runs before anything is painted, so that a page in a chosen theme never flashes in the other.

try {
  const { theme } = JSON.parse(localStorage.getItem("llamakit.settings") ?? "{}") as { theme?: string };
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // as the system has it
}

export {};
