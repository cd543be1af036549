/** What differs between two states of what is wanted, in words: for the log of a reload, and for what was changed live. Pure. */
import { flagOf, serviceOptions } from "../../src/config/options.ts";
import { type RedirectEntry, redirectText, type ServiceRoute } from "../../src/config/services.ts";
import type { ServiceSpec } from "./group.ts";
import type { TargetSpec } from "./member.ts";
import type { Wanted } from "./plane.ts";

export function changes(before: Wanted, after: Wanted): readonly string[] {
  return [
    ...compare("service", before.services, after.services, ({ targets }) => `targets: ${targets.length}`, changesOf),
    ...compare("routes of service", ofBoth(before, after), ofBoth(after, before), () => "", routeChanges),
    ...compare(
      "redirect",
      named(before.routes.redirects),
      named(after.routes.redirects),
      () => "",
      () => [],
    ),
  ];
}

/** The routes that `one` has of services that both have: those of the others come and go with them. */
function ofBoth(one: Wanted, other: Wanted): readonly ServiceRoute[] {
  const names = new Set(other.services.map(({ name }) => name));
  return one.routes.services.filter(({ name }) => names.has(name));
}

/** A redirect is what it says: one that says something else is another. */
function named(redirects: readonly RedirectEntry[]): readonly { readonly name: string }[] {
  return redirects.map((redirect) => ({ name: redirectText(redirect) }));
}

function changesOf(before: ServiceSpec, after: ServiceSpec): readonly string[] {
  const targets = compare("target", before.targets, after.targets, ({ weight }) => `weight ${weight}`, targetChanges);
  const settings = serviceOptions
    .filter((name) => !Bun.deepEquals(before.options[name], after.options[name]))
    .map((name) => `${flagOf(name)} ${shown(before.options[name])} → ${shown(after.options[name])}`);
  return [...targets, ...settings];
}

function targetChanges(before: TargetSpec, after: TargetSpec): readonly string[] {
  return fieldChanges(before, after, ["weight", "connectionsMax"]);
}

function routeChanges(before: ServiceRoute, after: ServiceRoute): readonly string[] {
  return fieldChanges(before, after, ["hosts", "paths", "connect", "stripPrefix", "request", "response"]);
}

function fieldChanges<T>(before: T, after: T, names: readonly (keyof T & string)[]): readonly string[] {
  return names
    .filter((name) => !Bun.deepEquals(before[name], after[name]))
    .map((name) => `${name} ${shown(before[name])} → ${shown(after[name])}`);
}

/** Things that have names: what came, what went, and what of the others is different, each with the name before it. */
function compare<T extends { readonly name: string }>(
  what: string,
  before: readonly T[],
  after: readonly T[],
  describe: (added: T) => string,
  differ: (before: T, after: T) => readonly string[],
): readonly string[] {
  const old = new Map(before.map((one) => [one.name, one]));
  const kept = new Set(after.map(({ name }) => name));
  return [
    ...before.filter(({ name }) => !kept.has(name)).map(({ name }) => `${what} ${name} removed`),
    ...after.flatMap((one) => {
      const was = old.get(one.name);
      if (was === undefined) return [`${what} ${one.name} added${describe(one) === "" ? "" : `, ${describe(one)}`}`];
      return differ(was, one).map((change) => `${what} ${one.name}: ${change}`);
    }),
  ];
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? "none";
}
