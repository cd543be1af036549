/**
 * Splits a script into its statements, the way psql finds their ends: a semicolon outside of quotes, comments, dollar quotes,
 * parentheses and BEGIN ATOMIC … END. Pure. Whether a statement is right is PostgreSQL's to say.
 */

export interface ScriptStatement {
  /** Without the semicolon and without comments before it. */
  readonly text: string;
  /** Line of the script it begins on, from 1. */
  readonly line: number;
}

/** What is one piece for the splitter (manual, 4.1): comment, string, quoted identifier, dollar quote, word, or one character. */
const piece =
  /--[^\n]*|\/\*|[eE]'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\d+|[^]/gu;

export function splitScript(script: string): ScriptStatement[] {
  const statements: ScriptStatement[] = [];
  const scan = new RegExp(piece);
  let start: number | undefined;
  let parentheses = 0;
  let blocks = 0;
  let before = "";

  const finish = (end: number): void => {
    if (start === undefined) return;
    statements.push({ text: script.slice(start, end).trim(), line: lineAt(script, start) });
    start = undefined;
  };

  for (let match = scan.exec(script); match; match = scan.exec(script)) {
    const token = match[0];
    if (token === "/*") scan.lastIndex = commentEnd(script, scan.lastIndex);
    if (token === "/*" || token.startsWith("--") || /^\s$/.test(token)) continue;
    if (token === ";" && parentheses === 0 && blocks === 0) {
      finish(match.index);
      continue;
    }
    start ??= match.index;
    if (/^\$\w*\$$/u.test(token)) scan.lastIndex = dollarEnd(script, token, scan.lastIndex);
    const word = token.toLowerCase();
    if (word === "(") parentheses++;
    if (word === ")") parentheses = Math.max(0, parentheses - 1);
    if ((word === "atomic" && before === "begin") || (word === "case" && blocks > 0)) blocks++;
    if (word === "end" && blocks > 0) blocks--;
    before = word;
  }
  finish(script.length);
  return statements;
}

/** Comments nest in SQL. An unclosed one reaches to the end. */
function commentEnd(script: string, from: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = from;
  let depth = 1;
  for (let match = marks.exec(script); match; match = marks.exec(script)) {
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return script.length;
}

function dollarEnd(script: string, tag: string, from: number): number {
  const end = script.indexOf(tag, from);
  return end === -1 ? script.length : end + tag.length;
}

/** The line of a character, from 1. */
export function lineAt(script: string, index: number): number {
  return script.slice(0, index).split("\n").length;
}
