// Addresses in texts of a model: those that a click may open.

const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/** The address, or null for one of another kind (javascript:, data:) or none at all. */
export function safeAddress(address: string): string | null {
  try {
    const url = new URL(address);
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null; // relative ones too: they would be this server's
  }
}
