/** Tells when the application's source has changed. What is then done is dev.ts's. */
import { type FSWatcher, watch } from "node:fs";
import { join, sep } from "node:path";

/** Editors write a file in several steps, and a save-all several files: one reload for all of them. */
const settleMilliseconds = 120;

const source = /\.(?:[cm]?[jt]sx?|json|sql|html|css|toml)$/;
const ignored = /(?:^|\/)(?:node_modules|\.[^/]+)(?:\/|$)/;

export interface Watching {
  /** Directories, absolute, that are no source: what dev itself writes there must not start it over and over. */
  readonly except: readonly string[];
  /** Called with the last changed file once things have been quiet for a moment. */
  readonly onChange: (file: string) => void;
  /** Called when it cannot be watched any more: the directory is gone, or the machine has no watches left. */
  readonly onError: (error: Error) => void;
}

/** Returns what stops it. */
export function watchSource(directory: string, { except, onChange, onError }: Watching): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const changed = (_event: string, file: string | null): void => {
    if (file === null || ignored.test(file) || !source.test(file)) return;
    if (except.some((its) => join(directory, file).startsWith(its + sep))) return;
    clearTimeout(timer);
    timer = setTimeout(() => onChange(file), settleMilliseconds);
  };
  const watcher = begin(directory, changed, onError);
  watcher?.on("error", onError);
  return () => {
    clearTimeout(timer);
    watcher?.close();
  };
}

function begin(
  directory: string,
  changed: (event: string, file: string | null) => void,
  onError: Watching["onError"],
): FSWatcher | undefined {
  try {
    return watch(directory, { recursive: true }, changed);
  } catch (error) {
    onError(error as Error);
    return undefined;
  }
}
