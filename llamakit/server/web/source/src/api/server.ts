// What the server says of itself: its models, their context, the defaults of its settings.

import { computed, signal } from "@preact/signals";
import { settings } from "../settings.ts";
import { request } from "./client.ts";
import { type Problem, problemOfError } from "./problem.ts";

export interface Model {
  id: string;
  nParams?: number;
  nBytes?: number;
  nCtxTrain?: number;
}

export interface Props {
  nCtx?: number;
  nSlots?: number;
  path?: string;
  build?: string;
  /** Values that a request gets for what it does not say. */
  defaults: Record<string, unknown>;
}

const ASK_AGAIN_MS = 1500;

let waiting: number | undefined;

export const models = signal<Model[]>([]);
export const props = signal<Props>({ defaults: {} });
export const serverProblem = signal<Problem | null>(null);

/** The model that requests name: the chosen one, as long as it is there. */
export const model = computed(
  () => models.value.find((one) => one.id === settings.value.model) ?? models.value[0] ?? null,
);

/** Ask it; a server without /props still chats. */
export async function askServer(): Promise<void> {
  try {
    models.value = await fetchModels();
    serverProblem.value = null;
  } catch (error) {
    serverProblem.value = problemOfError(error);
    if (serverProblem.value.remedy === "retry") askLater();
    return;
  }
  try {
    props.value = await fetchProps(model.value?.id);
  } catch {
    props.value = { defaults: {} };
  }
}

/** A model that is loading, or a server that starts, is there after a while. */
function askLater(): void {
  clearTimeout(waiting);
  waiting = setTimeout(() => void askServer(), ASK_AGAIN_MS);
}

async function fetchModels(): Promise<Model[]> {
  const { data } = (await (await request("v1/models")).json()) as {
    data: { id: string; meta?: { n_params?: number; size?: number; n_ctx_train?: number } | null }[];
  };
  return data.map(({ id, meta }) => ({
    id,
    ...(meta?.n_params ? { nParams: meta.n_params } : {}),
    ...(meta?.size ? { nBytes: meta.size } : {}),
    ...(meta?.n_ctx_train ? { nCtxTrain: meta.n_ctx_train } : {}),
  }));
}

/** Of the model that is asked: a router without a name tells only of itself. */
async function fetchProps(name = ""): Promise<Props> {
  const body = (await (await request(`props?model=${encodeURIComponent(name)}`)).json()) as {
    default_generation_settings?: { params?: Record<string, unknown>; n_ctx?: number };
    total_slots?: number;
    model_path?: string;
    build_info?: string;
  };
  const { params, n_ctx } = body.default_generation_settings ?? {};
  return {
    defaults: params ?? {},
    ...(n_ctx ? { nCtx: n_ctx } : {}),
    ...(body.total_slots ? { nSlots: body.total_slots } : {}),
    ...(body.model_path ? { path: body.model_path } : {}),
    ...(body.build_info ? { build: body.build_info } : {}),
  };
}
