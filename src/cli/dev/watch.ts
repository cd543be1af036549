/** Tells when the application's source has changed. What is then done is dev.ts's. */
import { type FSWatcher, watch } from "node:fs";

/** Editors write a file in several steps, and a save-all several files: one reload for all of them. */
const settleMilliseconds = 120;

const source = /\.(?:[cm]?[jt]sx?|json|sql|html|css|toml)$/;
const ignored = /(?:^|\/)(?:node_modules|\.[^/]+)(?:\/|$)/;

/** Calls `onChange` with the last changed file once things have been quiet for a moment. Returns what stops it. */
export function watchSource(directory: string, onChange: (file: string) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watcher: FSWatcher = watch(directory, { recursive: true }, (_event, file) => {
    if (file === null || ignored.test(file) || !source.test(file)) return;
    clearTimeout(timer);
    timer = setTimeout(() => onChange(file), settleMilliseconds);
  });
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}
