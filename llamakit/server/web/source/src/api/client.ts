// Requests to the server this page came from; addresses are relative, so a prefix of the path stays.

import { apiKey } from "../settings.ts";
import { Failure, problemOfStatus } from "./problem.ts";

/** Throws Failure for an answer that is an error, TypeError where there is none. */
export async function request(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = {};
  if (apiKey.value) headers.Authorization = `Bearer ${apiKey.value}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    signal: signal ?? null,
    credentials: "omit",
  });
  if (!response.ok) throw new Failure(problemOfStatus(response.status, await jsonOrNull(response)));
  return response;
}

async function jsonOrNull(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}
