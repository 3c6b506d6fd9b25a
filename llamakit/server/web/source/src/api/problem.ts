// What went wrong, in words, and what to do about it.

export type Remedy = "retry" | "settings" | "key" | "new chat";

export interface Problem {
  title: string;
  advice: string;
  remedy?: Remedy;
}

export class Failure extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

/** An error body of llama.cpp's or OpenAI's shape, or anything else a proxy may send. */
interface ErrorBody {
  message?: unknown;
  type?: unknown;
  n_prompt_tokens?: unknown;
  n_ctx?: unknown;
}

export function problemOfStatus(status: number, body: unknown): Problem {
  const error = errorOf(body);
  const said = typeof error.message === "string" && error.message ? sentence(error.message) : `It answered ${status}.`;
  if (status === 401) {
    return { title: "The server wants an API key", advice: "Enter the key it was started with.", remedy: "key" };
  }
  if (status === 403) return { title: "The server does not allow this", advice: said };
  if (error.type === "exceed_context_size_error" || (error.n_prompt_tokens && error.n_ctx)) {
    return {
      title: "The conversation is longer than the model's context",
      advice: `${said} Shorten a message, start a new chat, or give the server a larger context (-c).`,
      remedy: "new chat",
    };
  }
  if (status === 404) {
    return {
      title: "The server does not know this request",
      advice: `${said} Is the page open at the address of llamakit server, and the model still there?`,
      remedy: "retry",
    };
  }
  if (status === 429) return { title: "The server is busy", advice: `${said} Try again in a moment.`, remedy: "retry" };
  if (status === 503) {
    return { title: "The server is not ready", advice: `${said} Try again in a moment.`, remedy: "retry" };
  }
  if (status >= 500) {
    return { title: "The server failed", advice: `${said} Its log tells more.`, remedy: "retry" };
  }
  return { title: "The server refused the request", advice: `${said} Check the settings.`, remedy: "settings" };
}

export function problemOfError(error: unknown): Problem {
  if (error instanceof Failure) return error.problem;
  if (error instanceof TypeError) {
    // what fetch and readers of a body throw when a connection fails
    return {
      title: "The server does not answer",
      advice: `Is llamakit server still running at ${location.host}? Start it again, then retry.`,
      remedy: "retry",
    };
  }
  return { title: "Something went wrong", advice: String(error), remedy: "retry" };
}

/** The browser's own store failing: a private window, or a full disk. */
export function problemOfStore(error: unknown): Problem {
  const reason = error instanceof Error ? sentence(error.message) : "";
  return {
    title: "This conversation is not kept",
    advice: `The browser does not store it. ${reason} Is this a private window, or the disk full? Copy what you need.`,
  };
}

/** An error that comes as an event of a stream, whose status was sent long before. */
export function problemOfEvent(error: unknown): Problem {
  const code = (error as { code?: unknown } | null)?.code;
  return problemOfStatus(typeof code === "number" ? code : 500, { error });
}

function errorOf(body: unknown): ErrorBody {
  if (typeof body !== "object" || body === null) return {};
  const error = (body as { error?: unknown }).error ?? (body as { detail?: unknown }).detail;
  if (typeof error === "string") return { message: error };
  return typeof error === "object" && error !== null ? (error as ErrorBody) : {};
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? "" : ".");
}
