/** The one terminal of `scale dev`: every child's lines behind its name, and what dev itself has to say. */

const colours = [36, 33, 35, 34, 32, 31];
const nameCharacters = 8;

export class Terminal {
  readonly #coloured = process.stdout.isTTY;
  readonly #names: string[] = [];

  constructor() {
    // A terminal that was closed: the way out has to be gone without it.
    process.stdout.on("error", () => undefined);
  }

  /** Whole lines that a child wrote. */
  write(name: string, lines: string): void {
    const prefix = this.#prefix(name);
    process.stdout.write(lines.replaceAll(/^(?=.*\n)/gm, `${prefix} `));
  }

  /** A sentence of dev's own. */
  say(text: string): void {
    for (const line of text.split("\n")) process.stdout.write(`${this.#prefix("scale")} ${line}\n`);
  }

  print(text: string): void {
    process.stdout.write(text);
  }

  #prefix(name: string): string {
    if (!this.#names.includes(name)) this.#names.push(name);
    const padded = `${name.padEnd(nameCharacters)} │`;
    if (!this.#coloured) return padded;
    return `\x1b[${colours[this.#names.indexOf(name) % colours.length]}m${padded}\x1b[0m`;
  }
}
