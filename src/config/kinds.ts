/** The kinds of option values: how a text becomes a value, and the form --help shows. The table that uses them is options.ts. */
import { availableParallelism } from "node:os";

import { type Cidr, parseCidr } from "../std/cidr.ts";
import {
  ExpectedError,
  formatHostPort,
  type HostPort,
  parseBytes,
  parseCount,
  parseDuration,
  parseHostPort,
} from "../std/units.ts";

export interface Kind<T> {
  readonly form: string;
  readonly parse: (text: string) => T;
}

/** More processes than this on one machine are a mistake. */
const processesMax = 64;

/** A server behind the balancer. */
export interface Backend extends HostPort {
  /** Name in logs, metrics and messages: HOST:PORT as it was given. */
  readonly name: string;
  readonly weight: number;
  /** Most requests it is given at a time; 0 for no limit. */
  readonly connectionsMax: number;
}

export const text: Kind<string> = { form: "TEXT", parse: nonEmpty("a text that is not empty") };
export const path: Kind<string> = { form: "PATH", parse: nonEmpty("a path") };
export const bytes: Kind<number> = { form: "SIZE", parse: parseBytes };
/** A limit that can be taken away: 0 is Infinity. */
export const bytesOrAny: Kind<number> = {
  form: "SIZE",
  parse: (value) => parseBytes(value) || Number.POSITIVE_INFINITY,
};
export const cidr: Kind<Cidr> = { form: "CIDR", parse: parseCidr };

export const name: Kind<string> = {
  form: "NAME",
  parse: (value) => {
    if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(value)) return value;
    throw new ExpectedError("lower-case letters, digits, - and _, at most 63");
  },
};

/** RFC 6265 §4.1.1: a token; fewer characters than it allows, so that it needs no quoting anywhere. */
export const cookieName: Kind<string> = {
  form: "NAME",
  parse: (value) => {
    if (/^[A-Za-z0-9_-]{1,64}$/.test(value)) return value;
    throw new ExpectedError("letters, digits, - and _, at most 64");
  },
};

const keyCharactersMin = 16;

export const key: Kind<string> = {
  form: "KEY",
  parse: (value) => {
    if (value.length >= keyCharactersMin) return value;
    throw new ExpectedError(`a random text of at least ${keyCharactersMin} characters`);
  },
};

export const onOff: Kind<boolean> = {
  form: "on|off",
  parse: (value) => {
    if (value === "on" || value === "true" || value === "1") return true;
    if (value === "off" || value === "false" || value === "0") return false;
    throw new ExpectedError("on or off");
  },
};

/** A process id is 2 and more: 1 is on, as everywhere. */
export const parent: Kind<boolean | number> = {
  form: "on|off|PID",
  parse: (value) => (/^([2-9]|[1-9]\d{1,8})$/.test(value) ? Number(value) : onOff.parse(value)),
};

export function count(min: number, max: number): Kind<number> {
  return { form: "N", parse: (value) => parseCount(value, min, max) };
}

export const share: Kind<number> = {
  form: "SHARE",
  parse: (value) => {
    if (/^(0|1|0?\.\d{1,9}|1\.0+)$/.test(value)) return Number(value);
    throw new ExpectedError("a share from 0 to 1, such as 0.1");
  },
};

/** Both bounds are included, and written as durations. A timer holds at most 2^31 ms: one of more than 24 days would go off at once. */
export function duration(min: string, max: string): Kind<number> {
  return {
    form: "DURATION",
    parse: (value) => {
      const milliseconds = parseDuration(value);
      if (milliseconds >= parseDuration(min) && milliseconds <= parseDuration(max)) return milliseconds;
      throw new ExpectedError(`a duration from ${min} to ${max}`);
    },
  };
}

export function choice<const C extends string>(...choices: readonly C[]): Kind<C> {
  return {
    form: choices.join("|"),
    parse: (value) => {
      const found = choices.find((candidate) => candidate === value);
      if (found !== undefined) return found;
      throw new ExpectedError(choices.join(" or "));
    },
  };
}

export function hostPort(defaultHost: string): Kind<HostPort> {
  return { form: "HOST:PORT", parse: (value) => parseHostPort(value, defaultHost) };
}

export const httpUrl: Kind<URL> = {
  form: "URL",
  parse: (value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    if ((url?.protocol === "http:" || url?.protocol === "https:") && url.pathname === "/") return url;
    throw new ExpectedError("an address such as https://example.com, without a path");
  },
};

/** "auto" is one a processor. */
export const processes: Kind<number> = {
  form: "N|auto",
  parse: (value) => {
    const match = /^\d{1,3}$/.exec(value);
    if (value === "auto") return Math.min(availableParallelism(), processesMax);
    if (match && Number(value) >= 1 && Number(value) <= processesMax) return Number(value);
    throw new ExpectedError(`auto, or a whole number 1–${processesMax}`);
  },
};

/** Which of several processes of one role this one is, counted from 1. */
export interface Place {
  readonly index: number;
  readonly of: number;
}

export const place: Kind<Place> = {
  form: "I/N",
  parse: (value) => {
    const match = /^(\d{1,3})\/(\d{1,3})$/.exec(value);
    const [index, of] = [Number(match?.[1]), Number(match?.[2])];
    if (index >= 1 && index <= of && of <= processesMax) return { index, of };
    throw new ExpectedError("I/N, as the supervisor gives it to its children; for several processes: --processes=N");
  },
};

/** How often one client may ask. */
export interface RateLimit {
  /** What a client may ask at once after a while of silence. */
  readonly burst: number;
  readonly millisecondsPerToken: number;
  /** Lower-case name of the header that says who the client is; undefined for its address. */
  readonly header: string | undefined;
}

const rateForm =
  "a rate such as 100/s, 600/m or 100/10s, optionally followed by ,burst=N and ,by=address or ,by=header:NAME";

export const rateLimit: Kind<RateLimit> = {
  form: "N/PERIOD[,burst=N][,by=header:NAME]",
  parse: (value) => {
    const form = /^(\d{1,7})\/(\d*)(s|m|h)(?:,burst=(\d{1,7}))?(?:,by=(?:address|header:([\w-]{1,64})))?$/.exec(value);
    const [, requests = "", periods, unit, burst = requests, header] = form ?? [];
    const period = form ? parseDuration(`${periods === "" ? "1" : periods}${unit}`) : 0;
    if (!(Number(requests) > 0 && Number(burst) > 0 && period > 0)) throw new ExpectedError(rateForm);
    return { burst: Number(burst), millisecondsPerToken: period / Number(requests), header: header?.toLowerCase() };
  },
};

/** Both bounds are included. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

export const statusRanges: Kind<readonly StatusRange[]> = {
  form: "STATUS[-STATUS],…",
  parse: (value) =>
    value.split(",").map((range) => {
      const match = /^([2-5]\d\d)(?:-([2-5]\d\d))?$/.exec(range);
      const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
      if (from <= to) return { from, to };
      throw new ExpectedError("statuses from 200 to 599 and ranges of them, such as 200-299,401");
    }),
};

export const requestPath: Kind<string> = {
  form: "PATH",
  parse: (value) => {
    if (/^\/[\x21\x22\x24-\x7e]{0,1023}$/.test(value)) return value;
    throw new ExpectedError("a path that begins with / and has no space and no #, such as /readyz");
  },
};

const retriable = new Set(["502", "503", "504"]);

export const retryStatuses: Kind<readonly number[]> = {
  form: "STATUS,…",
  parse: (value) => {
    if (value === "none") return [];
    const statuses = value.split(",");
    if (statuses.every((status) => retriable.has(status))) return statuses.map(Number);
    throw new ExpectedError("some of 502,503,504, or none");
  },
};

const weightMax = 1_000;
const connectionsMax = 1_000_000;

/** Share of a target; each of weight 2 gets twice what one of weight 1 gets. */
export const weight: Kind<number> = count(1, weightMax);

export const backend: Kind<Backend> = {
  form: "HOST:PORT[,weight=N][,max_connections=N]",
  parse: (value) => {
    const [address = "", ...parameters] = value.split(",");
    const target = parseHostPort(address, "127.0.0.1");
    if (target.port === 0) throw new ExpectedError("HOST:PORT with a port 1–65535");
    const backend = { ...target, name: formatHostPort(target), weight: 1, connectionsMax: 0 };
    for (const parameter of parameters) {
      const match = /^(weight|max_connections)=(\d+)$/.exec(parameter);
      if (match?.[1] === "weight") backend.weight = weight.parse(match[2]!);
      else if (match) backend.connectionsMax = parseCount(match[2]!, 1, connectionsMax);
      else throw new ExpectedError("HOST:PORT, optionally followed by ,weight=N and ,max_connections=N");
    }
    return backend;
  },
};

/** How many rows `scale migrate --demo-data` makes. */
export interface DemoData {
  readonly users: number;
  readonly posts: number;
}

export const demoData: Kind<DemoData> = {
  form: "users:N,posts:N",
  parse: (value) => {
    const match = /^users:(\d{1,9}),posts:(\d{1,9})$/.exec(value);
    if (match && Number(match[1]) > 0) return { users: Number(match[1]), posts: Number(match[2]) };
    throw new ExpectedError("users:N,posts:N with at least one user");
  },
};

function nonEmpty(expected: string): (value: string) => string {
  return (value) => {
    if (value !== "") return value;
    throw new ExpectedError(expected);
  };
}
