/** Text from outside on a terminal: it must not move the cursor or rewrite the terminal's title. */

// eslint-disable-next-line no-control-regex -- they are what is looked for
const controls = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/g;

/** The text with its control characters spelled out; a line feed stays. */
export function visible(text: string): string {
  return text.replace(controls, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
