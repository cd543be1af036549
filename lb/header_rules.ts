/**
 * Fields that an operator wants removed, set or added, compiled from scale.toml. Invariant: rules name no field that scale itself reads
 * or writes (config/route_kinds.ts refuses them), so they cannot touch framing or who the client is. Hot where there are rules: no
 * allocation, a name is compared only where its length fits.
 */
import type { HeaderRules as Written } from "../src/config/services.ts";
import { type Fields, isSpelling } from "../src/wire/fields.ts";

export class HeaderRules {
  /** Names that go, in lower case with hyphens. */
  readonly #dropped: readonly Uint8Array[];
  /** Names and values by turns. */
  readonly #added: readonly string[];

  constructor({ remove, set, add }: Written) {
    const names = [...remove, ...set.filter((_, index) => index % 2 === 0)];
    this.#dropped = names.map((name) => Buffer.from(name.toLowerCase().replaceAll("_", "-"), "latin1"));
    this.#added = [...set, ...add];
  }

  get isEmpty(): boolean {
    return this.#dropped.length === 0 && this.#added.length === 0;
  }

  /** Takes out of `fields` what goes, and appends to `added` what comes. */
  apply(fields: Fields, added: string[]): void {
    for (let index = 0; index < fields.count; index++) if (this.#drops(fields, index)) fields.drop(index);
    for (let index = 0; index < this.#added.length; index++) added.push(this.#added[index]!);
  }

  #drops(fields: Fields, index: number): boolean {
    const start = fields.nameStart(index);
    const end = fields.nameEnd(index);
    for (let rule = 0; rule < this.#dropped.length; rule++) {
      if (isSpelling(fields.bytes, start, end, this.#dropped[rule]!)) return true;
    }
    return false;
  }
}
