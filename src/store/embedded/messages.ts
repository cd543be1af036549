/**
 * Messages of PostgreSQL's protocol 3.0 (manual, chapter 54), as far as a gate must read, write and change them. Pure.
 * The statements themselves pass through unread, but for the few that cannot work where connections share a session.
 */

/** Codes in place of a protocol version in the first packet. */
export const sslRequest = 80_877_103;
export const gssRequest = 80_877_104;
export const cancelRequest = 80_877_102;
export const protocolMajor = 3;

/** What a client may send once it is in. */
export const frontendTypes = "QPBDECHSFdcfX";

const cstring = (text: string): Buffer => Buffer.from(`${text}\0`);
const int32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
};

export function message(type: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const body = parts.map((part) => (typeof part === "string" ? cstring(part) : part));
  const length = body.reduce((sum, part) => sum + part.length, 4);
  return Buffer.concat([Buffer.from(type), int32(length), ...body]);
}

export const sync: Buffer = message("S");
export const query = (text: string): Buffer => message("Q", text);
export const closeStatement = (name: string): Buffer => message("C", Buffer.from("S"), name);
export const authenticationOk: Buffer = message("R", int32(0));
export const passwordPlease: Buffer = message("R", int32(3));
export const readyForQuery: Buffer = message("Z", Buffer.from("I"));
export const parameterStatus = (name: string, value: string): Buffer => message("S", name, value);
/** "I speak 3.0, and none of your extensions." */
export const negotiateVersion: Buffer = message("v", int32(0), int32(0));

export function fatal(code: string, text: string, hint?: string): Buffer {
  const fields = ["SFATAL", "VFATAL", `C${code}`, `M${text}`, ...(hint === undefined ? [] : [`H${hint}`])];
  return message("E", ...fields, Buffer.from([0]));
}

/** Calls `visit` for each whole message; returns where the first one begins that is incomplete, or of an impossible length. */
export function eachMessage(bytes: Buffer, visit: (type: string, start: number, end: number) => void): number {
  let at = 0;
  while (at + 5 <= bytes.length) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length || end < at + 5) break;
    visit(String.fromCharCode(bytes[at]!), at, end);
    at = end;
  }
  return at;
}

/** The text of the zero-terminated string at `from`, and where it ends (behind its zero). */
export function stringAt(bytes: Buffer, from: number): { readonly text: string; readonly end: number } {
  const zero = bytes.indexOf(0, from);
  const end = zero === -1 ? bytes.length : zero;
  return { text: bytes.toString("utf8", from, end), end: end + 1 };
}

/** The status of the transaction, if the answer ends with ReadyForQuery: I idle, T in a transaction, E in a failed one. */
export function finalStatus(answer: Buffer): string | undefined {
  const at = answer.length - 6;
  if (at < 0 || answer[at] !== 0x5a || answer.readUInt32BE(at + 1) !== 5) return undefined;
  return String.fromCharCode(answer[at + 5]!);
}

/** Rows of an answer as texts, and its error if it has one. For the gate's own statements. */
export function readAnswer(answer: Buffer): { readonly rows: string[][]; readonly error: string | undefined } {
  const rows: string[][] = [];
  let error: string | undefined;
  eachMessage(answer, (type, start, end) => {
    if (type === "D") rows.push(rowAt(answer, start + 5));
    if (type === "E") error = errorText(answer, start + 5, end);
  });
  return { rows, error };
}

function rowAt(bytes: Buffer, start: number): string[] {
  const values: string[] = [];
  let at = start + 2;
  for (let column = bytes.readUInt16BE(start); column > 0; column--) {
    const length = bytes.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? "" : bytes.toString("utf8", at, at + length));
    at += Math.max(0, length);
  }
  return values;
}

function errorText(bytes: Buffer, start: number, end: number): string {
  for (let at = start; at < end - 1;) {
    const field = stringAt(bytes, at);
    if (field.text.startsWith("M")) return field.text.slice(1);
    at = field.end;
  }
  return "unknown error";
}

/** Name → value of a startup packet's parameters. */
export function startupParameters(bytes: Buffer): Map<string, string> {
  const parameters = new Map<string, string>();
  for (let at = 8; at < bytes.length && bytes[at] !== 0;) {
    const name = stringAt(bytes, at);
    const value = stringAt(bytes, name.end);
    parameters.set(name.text, value.text);
    at = value.end;
  }
  // PGOPTIONS="-c name=value": the same by another way.
  for (const [, name, value] of (parameters.get("options") ?? "").matchAll(/-c\s*([\w.]+)=((?:\\.|\S)*)/g)) {
    parameters.set(name!, value!.replaceAll(/\\(.)/g, "$1"));
  }
  return parameters;
}
