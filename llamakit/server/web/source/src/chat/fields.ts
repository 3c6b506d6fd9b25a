// The settings of a request that a reader may choose, as the server names them.

export interface Field {
  name: string;
  label: string;
  help: string;
  kind: "number" | "integer" | "boolean" | "text" | "lines" | "choice";
  min?: number;
  max?: number;
  choices?: readonly string[];
}

export interface Group {
  title: string;
  fields: readonly Field[];
  isOpen?: boolean;
}

function number(name: string, label: string, help: string, min?: number, max?: number): Field {
  return { name, label, help, kind: "number", min, max };
}

function integer(name: string, label: string, help: string, min?: number, max?: number): Field {
  return { name, label, help, kind: "integer", min, max };
}

function boolean(name: string, label: string, help: string): Field {
  return { name, label, help, kind: "boolean" };
}

function lines(name: string, label: string, help: string): Field {
  return { name, label, help, kind: "lines" };
}

export const GROUPS: readonly Group[] = [
  {
    title: "Sampling",
    isOpen: true,
    fields: [
      number("temperature", "Temperature", "Higher is more varied; 0 always takes the likeliest token.", 0, 5),
      integer("top_k", "Top-k", "Only the k likeliest tokens; 0 for all.", 0),
      number("top_p", "Top-p", "Only the likeliest tokens that together have this probability.", 0, 1),
      number("min_p", "Min-p", "Only tokens with this share of the likeliest one's probability.", 0, 1),
      integer("seed", "Seed", "The same seed gives the same answer; -1 draws one.", -1),
    ],
  },
  {
    title: "Length",
    isOpen: true,
    fields: [
      integer("max_tokens", "Most tokens", "Where an answer is cut; -1 lets it fill the context.", -1),
      lines("stop", "Stop texts", "One a line, \\n for a line end; an answer ends before any of them."),
      boolean("ignore_eos", "Ignore the end token", "Go on until the most tokens."),
      integer("t_max_predict_ms", "Most milliseconds", "Ends an answer at the first line after this time.", 0),
      integer("n_indent", "Least indent", "Ends an answer at a line indented less.", 0),
      integer("n_keep", "Kept at a shift", "Prompt tokens kept when the context is full; -1 keeps all.", -1),
      integer("n_discard", "Dropped at a shift", "Tokens dropped when the context is full; 0 drops half.", 0),
    ],
  },
  {
    title: "Repetition",
    fields: [
      number("repeat_penalty", "Repeat penalty", "Above 1 makes tokens that were said less likely.", 0, 2),
      boolean("penalize_nl", "Penalties of line ends", "Whether penalties are for line ends too."),
      integer("repeat_last_n", "Repeat window", "How many last tokens are looked at; 0 for none.", 0),
      number("presence_penalty", "Presence penalty", "Taken from tokens that were said.", -2, 2),
      number("frequency_penalty", "Frequency penalty", "Taken for every time a token was said.", -2, 2),
      number("dry_multiplier", "DRY multiplier", "Against repeated sequences; 0 is off.", 0),
      number("dry_base", "DRY base", "How fast the penalty grows with a sequence.", 0),
      integer("dry_allowed_length", "DRY allowed length", "Sequences up to this length are free.", 0),
      integer("dry_penalty_last_n", "DRY window", "How many last tokens are looked at; 0 for none.", 0),
      lines(
        "dry_sequence_breakers",
        "DRY breakers",
        "One a line, \\n for a line end; no sequence reaches across them.",
      ),
    ],
  },
  {
    title: "More samplers",
    fields: [
      number("typical_p", "Typical p", "Only tokens about as likely as expected; 1 is off.", 0, 1),
      number("tfs_z", "Tail-free z", "Leaves out the tail of unlikely tokens; 1 is off.", 0, 1),
      number("top_n_sigma", "Top-nσ", "Only logits within n deviations of the highest; -1 is off.", -1),
      number("xtc_probability", "XTC probability", "How often the likeliest tokens are left out.", 0, 1),
      number("xtc_threshold", "XTC threshold", "Which tokens count as likeliest; above 0.5 is off.", 0, 1),
      number("dynatemp_range", "Dynamic temperature", "The temperature moves by this much; 0 is off.", 0),
      number("dynatemp_exponent", "Dynamic exponent", "How entropy moves it.", 0),
      integer("mirostat", "Mirostat", "0 off, 1 or 2: its version; replaces top-k and top-p.", 0, 2),
      number("mirostat_tau", "Mirostat entropy", "The surprise it aims at.", 0),
      number("mirostat_eta", "Mirostat rate", "How fast it learns.", 0, 1),
      number("adaptive_target", "Adaptive target", "The probability it aims at; -1 is off.", -1, 1),
      number("adaptive_decay", "Adaptive decay", "How long it remembers.", 0, 0.99),
      integer("min_keep", "Least kept", "Samplers leave at least so many tokens.", 0),
      lines("logit_bias", "Logit bias", "A token, by id or text, and a number a line; false for never: 15 -100."),
      lines("samplers", "Order of samplers", "One a line, such as top_k, min_p, temperature."),
    ],
  },
  {
    title: "Reasoning",
    fields: [
      {
        name: "reasoning_effort",
        label: "Effort",
        kind: "choice",
        choices: ["none", "low", "medium", "high"],
        help: "How long a model that reasons may think.",
      },
      integer("reasoning_budget_tokens", "Most tokens of reasoning", "-1 for no limit.", -1),
    ],
  },
  {
    title: "Grammar and cache",
    fields: [
      {
        name: "grammar",
        label: "Grammar",
        kind: "text",
        help: "GBNF that answers must follow; not with a JSON schema.",
      },
      boolean("cache_prompt", "Reuse the prompt", "Compute only what is new in the conversation."),
    ],
  },
];
