/** The module's `log`: the process's, bound to the request or job being served. */
import { type Fields, type Log, log as processLog } from "../ops/log.ts";
import { currentContext } from "./context.ts";

type Level = "debug" | "info" | "warn" | "error";

const at = (level: Level) => (fields: Fields, message?: string) => current()[level](fields, message);

export const log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };

function current(): Log {
  return currentContext()?.log ?? processLog;
}
