/** The verbs of `scale lb`: what follows each on the command line, and what it does. Carrying them out is lb/control/handler.ts'. */

interface Verb {
  /** What follows the verb on the command line. */
  readonly takes: readonly ("target" | "weight" | "service")[];
  readonly help: string;
}

export const verbs = {
  status: { takes: [], help: "services and targets: state, weight, requests, and what differs from the file" },
  add: { takes: ["target"], help: "adds HOST:PORT[,weight=N]; it gets requests after its first passed check" },
  remove: { takes: ["target"], help: "gives it nothing more and forgets it; what it has is finished" },
  drain: {
    takes: ["target"],
    help: "gives it nothing more and waits, at most --timeout, until it has finished what it has",
  },
  undrain: { takes: ["target"], help: "gives it requests again after its next passed check" },
  weight: { takes: ["target", "weight"], help: "changes its share" },
  pause: { takes: ["service"], help: "holds the service's requests back, each as long as it may wait" },
  resume: { takes: ["service"], help: "lets them go on" },
  reload: { takes: [], help: "reads the file of --config again, as SIGHUP does" },
} as const satisfies { readonly [verb: string]: Verb };

export type VerbName = keyof typeof verbs;

export function isVerb(word: string): word is VerbName {
  return Object.hasOwn(verbs, word);
}

/** "scale lb weight TARGET WEIGHT". */
export function usageOf(verb: VerbName): string {
  const takes: readonly string[] = verbs[verb].takes;
  return ["scale lb", verb, ...takes.map((what) => (what === "service" ? "[SERVICE]" : what.toUpperCase()))].join(" ");
}

/** One line a verb, for --help. */
export function verbReference(): string {
  return Object.entries(verbs)
    .map(([verb, { help }]) => `  ${usageOf(verb as VerbName).padEnd(38)} ${help}`)
    .join("\n");
}
