/**
 * [services.NAME] and [[redirects]] of scale.toml: which requests go to which backends, and what is changed on the way. Everything
 * wrong is collected with its line. Who serves what is decided by lb/route.ts; here is only what was written.
 */
import { backend, choice, name as nameKind, onOff } from "./kinds.ts";
import {
  type Backend,
  defaultOf,
  kebab,
  type Option,
  options,
  serviceOptions,
  type ServiceSettings,
} from "./options.ts";
import {
  connectAuthority,
  fieldName,
  fieldValue,
  hostPattern,
  pathPrefix,
  type RedirectStatus,
  redirectStatus,
  redirectTo,
  type Scheme,
} from "./route_kinds.ts";
import { nameOf, TableReader } from "./table_reader.ts";
import type { TomlFile } from "./toml.ts";

export type { RedirectStatus, Scheme };

/** What is changed in a head, in this order: removed, set (in the place of what was there), added. Names and values by turns. */
export interface HeaderRules {
  readonly remove: readonly string[];
  readonly set: readonly string[];
  readonly add: readonly string[];
}

/** Which requests: an empty list of hosts is any host. */
export interface Claim {
  readonly hosts: readonly string[];
  readonly paths: readonly string[];
}

/** How requests reach a service. */
export interface ServiceRoute extends Claim {
  readonly name: string;
  /** HOST:PORT, each of which a CONNECT may ask for. */
  readonly connect: readonly string[];
  /** The path it was found by is taken off before the request goes on. */
  readonly stripPrefix: boolean;
  readonly request: HeaderRules;
  readonly response: HeaderRules;
}

export interface ServiceEntry extends ServiceRoute {
  readonly backends: readonly Backend[];
  readonly settings: ServiceSettings;
}

export interface RedirectEntry extends Claim {
  /** Only requests that came by it. */
  readonly scheme: Scheme | undefined;
  readonly to: string;
  readonly status: RedirectStatus;
}

/** Plain data, so that it can be compared and sent to another process. */
export interface Routes<S extends ServiceRoute = ServiceRoute> {
  readonly services: readonly S[];
  readonly redirects: readonly RedirectEntry[];
}

export const noRoutes: Routes<ServiceEntry> = { services: [], redirects: [] };
export const noRules: HeaderRules = { remove: [], set: [], add: [] };

/** For a person: "shop.example /api". */
export function claimText({ hosts, paths }: Claim): string {
  return `${hosts.join(" ") || "any host"} ${paths.join(" ")}`;
}

/** "shop.example /api", "CONNECT git.example:22", or both. */
export function servedText(service: ServiceRoute): string {
  const claim = service.paths.length === 0 ? [] : [claimText(service)];
  const connect = service.connect.length === 0 ? [] : [`CONNECT ${service.connect.join(" ")}`];
  return [...claim, ...connect].join(", ");
}

/** "by http any host / → 308 https://{host}{uri}" */
export function redirectText(redirect: RedirectEntry): string {
  const { scheme, status, to } = redirect;
  return `${scheme === undefined ? "" : `by ${scheme} `}${claimText(redirect)} → ${status} ${to}`;
}

/** Tables at the top level of the file that are read here. */
export const routeTables = ["services", "redirects"] as const;

/** Of one service, from the file or added live. */
export const targetsMax = 1_000;
const servicesMax = 1_000;
const redirectsMax = 10_000;
const rulesMax = 64;
/** Names and values of one direction's rules: a head has room for them whatever else is in it (wire/http1/serialise.ts). */
const rulesBytesMax = 8 * 1024;

/** Reads both tables; adds to `problems` what is wrong in them. */
export function readRoutes(file: TomlFile, problems: string[]): Routes<ServiceEntry> {
  const before = problems.length;
  const services = serviceNames(file, problems).map((name) => readService(file, name, problems));
  const redirects = redirectIndexes(file, problems).map((index) => readRedirect(file, index, problems));
  const routes = { services, redirects: redirects.filter((each) => each !== undefined) };
  // A claim that could not be read would clash with what nobody wrote.
  if (problems.length === before) problems.push(...clashes(routes).map((clash) => `${clash} (${file.path})`));
  return routes;
}

/** What two claim: nobody could say who serves it. */
function clashes({ services, redirects }: Routes): readonly string[] {
  const owners = new Map<string, string>();
  const problems: string[] = [];
  const add = (owner: string, { hosts, paths }: Claim, scheme: string): void => {
    for (const host of hosts.length === 0 ? ["any host"] : hosts) {
      for (const path of paths) {
        const what = `${path} of ${host}${scheme}`;
        const other = owners.get(what);
        if (other !== undefined)
          problems.push(`${what} is claimed by ${other} and by ${owner}. Fix: leave it out of one of them`);
        owners.set(what, owner);
      }
    }
  };
  for (const service of services) {
    const name = nameOf(["services", service.name]);
    add(name, service, "");
    if (service.connect.length > 0) add(name, { hosts: service.connect, paths: ["CONNECT"] }, "");
  }
  for (const [index, redirect] of redirects.entries()) {
    add(nameOf(["redirects", index]), redirect, redirect.scheme === undefined ? "" : ` by ${redirect.scheme}`);
  }
  return problems;
}

function serviceNames(file: TomlFile, problems: string[]): readonly string[] {
  if (file.document["services"] === undefined) return [];
  const table = new TableReader(file, ["services"], problems);
  if (table.keys.length > servicesMax) table.lacks(`holds ${table.keys.length} services`, `at most ${servicesMax}`);
  return table.keys.slice(0, servicesMax).filter((name) => table.allows(name, nameKind, "[services.shop]"));
}

function redirectIndexes(file: TomlFile, problems: string[]): readonly number[] {
  const { redirects } = file.document;
  if (redirects === undefined) return [];
  if (!Array.isArray(redirects) || redirects.length > redirectsMax) {
    problems.push(
      `redirects in ${file.placeOf(["redirects"])} is not a list. Fix: [[redirects]] before each, at most ${redirectsMax}`,
    );
    return [];
  }
  return redirects.map((_, index) => index);
}

function readService(file: TomlFile, name: string, problems: string[]): ServiceEntry {
  const table = new TableReader(file, ["services", name], problems);
  const service = {
    name,
    ...readServed(table),
    backends: readBackends(table),
    stripPrefix: table.one("strip-prefix", onOff, "true") ?? false,
    settings: readSettings(table),
    request: readRules(table.table("request-headers")),
    response: readRules(table.table("response-headers")),
  };
  table.finish();
  return service;
}

/** A service that says for CONNECT what it serves, and for nothing else, serves nothing else. */
function readServed(table: TableReader): Claim & Pick<ServiceRoute, "connect"> {
  const connect = [...new Set(table.many("connect", connectAuthority, '["git.example:22"]') ?? [])];
  if (table.isEmptyList("connect")) table.wrong("connect", "at least one", "leave connect out, which means none");
  const claim = readClaim(table);
  const isForConnectOnly = connect.length > 0 && !table.keys.includes("hosts") && !table.keys.includes("paths");
  return isForConnectOnly ? { hosts: [], paths: [], connect } : { ...claim, connect };
}

function readClaim(table: TableReader): Claim {
  const hosts = table.many("hosts", hostPattern, '["shop.example", "*.shop.example"]') ?? [];
  const paths = table.many("paths", pathPrefix, '["/api"]') ?? ["/"];
  for (const key of ["hosts", "paths"]) {
    if (table.isEmptyList(key)) table.wrong(key, "at least one", `leave ${key} out, which means all`);
  }
  return { hosts: [...new Set(hosts)], paths: [...new Set(paths)] };
}

function readBackends(table: TableReader): readonly Backend[] {
  const usual = '["10.0.0.1:3000,weight=3", "10.0.0.2:3000"]';
  const backends = table.many("backends", backend, usual);
  if (backends === undefined) table.lacks("has no backends", `backends = ${usual}`);
  const names = (backends ?? []).map(({ name }) => name);
  if (names.length > targetsMax) table.lacks(`has ${names.length} backends`, `at most ${targetsMax}`);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    table.wrong("backends", `${twice} once`, `weight=N makes a share larger: "${twice},weight=2"`);
  return backends ?? [];
}

function readSettings(table: TableReader): ServiceSettings {
  const settings: { [name: string]: unknown } = {};
  for (const name of serviceOptions) {
    const option: Option = options[name];
    const usual = `"${defaultOf(option, "lb") ?? option.form}"`;
    const value = option.many ? table.many(kebab(name), option, usual) : table.one(kebab(name), option, usual);
    if (value !== undefined) settings[name] = value;
  }
  return settings;
}

function readRules(table: TableReader | undefined): HeaderRules {
  if (table === undefined) return noRules;
  const rules = {
    remove: table.many("remove", fieldName, '["X-Powered-By"]') ?? [],
    set: readFields(table.table("set")),
    add: readFields(table.table("add")),
  };
  const texts = [...rules.remove, ...rules.set, ...rules.add];
  const bytes = texts.reduce((sum, text) => sum + text.length, 0);
  if (rules.remove.length + (rules.set.length + rules.add.length) / 2 > rulesMax || bytes > rulesBytesMax) {
    table.lacks("has too many rules", `at most ${rulesMax}, of together ${rulesBytesMax} bytes`);
  }
  table.finish();
  return rules;
}

function readFields(table: TableReader | undefined): readonly string[] {
  const fields: string[] = [];
  for (const name of table?.keys ?? []) {
    const value = table!.one(name, fieldValue, '"text"');
    if (table!.allows(name, fieldName, "X-Served-For") && value !== undefined) fields.push(name, value);
  }
  return fields;
}

function readRedirect(file: TomlFile, index: number, problems: string[]): RedirectEntry | undefined {
  const table = new TableReader(file, ["redirects", index], problems);
  const claim = readClaim(table);
  const scheme = table.one("scheme", choice("http", "https"), '"http"');
  const to = table.one("to", redirectTo, '"https://{host}{uri}"');
  const status = table.one("status", redirectStatus, "308") ?? 308;
  table.finish();
  if (to === undefined) {
    if (!table.keys.includes("to")) table.lacks("leads nowhere", 'to = "https://{host}{uri}"');
    return undefined;
  }
  const loop = /^(https?):\/\/\{host\}\{uri\}$/.exec(to);
  if (loop !== null && (scheme ?? loop[1]) === loop[1]) {
    table.wrong(
      "to",
      "another address than the request's, which would lead to itself for ever",
      'scheme = "http" beside it',
    );
  }
  return { ...claim, scheme, to, status };
}
