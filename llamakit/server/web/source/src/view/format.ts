// Numbers and days as a reader wants them.

const DAY_MS = 86_400_000;

export function count(n: number): string {
  return n.toLocaleString("en");
}

/** Tokens per second: three digits are enough. */
export function rate(perSecond: number): string {
  return perSecond >= 100 ? count(Math.round(perSecond)) : String(Number(perSecond.toPrecision(3)));
}

/** 134515008 -> 135M */
export function short(n: number): string {
  return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(n);
}

export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(n, 1)) / 10), units.length - 1);
  return `${Number((n / 1024 ** power).toPrecision(3))} ${units[power]}`;
}

/** The heading that a conversation of this time stands under. */
export function day(time: number, now: number): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (time >= midnight) return "Today";
  if (time >= midnight - DAY_MS) return "Yesterday";
  if (time >= midnight - 6 * DAY_MS) return "Last seven days";
  return "Earlier";
}
