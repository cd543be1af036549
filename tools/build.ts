// Builds ./scale, the one binary: `bun tools/build.ts [--if-stale]`.
// Invariant: ./scale is replaced whole and only when the build succeeded; two builds at once wait for each other.
// Not here: the embedded database's first state (snapshot.ts makes build/pglite.tar.gz, which the bundle carries).

import { Database } from "bun:sqlite";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";

import manifest from "../package.json" with { type: "json" };

const root = `${import.meta.dir}/..`;
const binary = `${root}/scale`;
const stamp = `${root}/build/scale.stamp`;
const snapshot = `${root}/build/pglite.tar.gz`;
const snapshotStamp = `${root}/build/pglite.stamp`;
const snapshotTool = `${root}/tools/snapshot.ts`;
const folders = "{src,lb,worker,demo}/**/*";
const recipe = ["package.json", "package-lock.json", "tsconfig.json", "tools/build.ts", "tools/snapshot.ts"];

mkdirSync(`${root}/build`, { recursive: true });
using lock = new Database(`${root}/build/lock.sqlite`);
// SQLite's file lock, because it dies with its owner: a killed build blocks nobody.
lock.run("PRAGMA busy_timeout = 120000");
lock.run("BEGIN EXCLUSIVE");

const commit = describeCommit();
const started = performance.now();
if (!process.argv.includes("--if-stale") || (await stale())) await build();

async function build(): Promise<void> {
  await refreshSnapshot();
  const sources = await fingerprint();
  const fresh = `${root}/build/scale`;
  // Bun writes its unfinished binary into the current directory, where a killed build leaves it.
  process.chdir(`${root}/build`);
  await Bun.build({
    entrypoints: [`${root}/src/main.ts`, ...threads()],
    root,
    target: "bun",
    // Stack traces name source files and lines. Not minified: the runtime is 107 MB of the binary, names are worth more.
    sourcemap: "inline",
    // Each role loads only its own chunks, already compiled: a role starts in 25 ms instead of 135, and scale dev starts five.
    splitting: true,
    bytecode: true,
    format: "esm",
    define: {
      BUILD_VERSION: JSON.stringify(manifest.version),
      BUILD_COMMIT: JSON.stringify(commit),
      "process.env.NODE_ENV": '"production"',
    },
    compile: {
      outfile: fresh,
      // An application's own packages and paths are found from its entry's directory …
      autoloadPackageJson: true,
      autoloadTsconfig: true,
      // … but a file that happens to lie in the current directory changes nothing: options come from flags, environment and --config.
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  });
  renameSync(fresh, binary);
  // The binary carries its source maps; what the bundler leaves beside it is one more set a build.
  for (const map of new Bun.Glob("*.map").scanSync({ cwd: `${root}/build`, absolute: true })) rmSync(map);
  await Bun.write(stamp, `${sources} ${identity()}`);
  const megabytes = (statSync(binary).size / 1e6).toFixed(0);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`scale ${manifest.version} (${commit}): ./scale, ${megabytes} MB, built in ${seconds} s\n`);
}

/** Made again when the way it is made changes, or what makes it. */
async function refreshSnapshot(): Promise<void> {
  const made = `${readFileSync(snapshotTool, "utf8")}\n${manifest.dependencies["@electric-sql/pglite"]}`;
  const wanted = new Bun.CryptoHasher("sha256").update(made).digest("hex");
  if (existsSync(snapshot) && existsSync(snapshotStamp) && readFileSync(snapshotStamp, "utf8") === wanted) return;
  run(snapshotTool);
  await Bun.write(snapshotStamp, wanted);
}

/** A Worker's file must be an entry point of its own; inside the binary it is /$bunfs/root/<its path>.js. */
function threads(): string[] {
  return [...new Bun.Glob("{src,lb,worker}/**/*_thread.ts").scanSync({ cwd: root, absolute: true })].toSorted();
}

async function stale(): Promise<boolean> {
  if (!existsSync(binary) || !existsSync(stamp) || !existsSync(snapshot)) return true;
  return readFileSync(stamp, "utf8") !== `${await fingerprint()} ${identity()}`;
}

/** Hash of everything the binary is made of. By content: a checkout touches files without changing them. */
async function fingerprint(): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256").update(`${Bun.version} ${commit}`);
  const sources = [...new Bun.Glob(folders).scanSync({ cwd: root })].toSorted();
  for (const path of [...sources, ...recipe]) {
    const file = Bun.file(`${root}/${path}`);
    if (await file.exists()) hash.update(`\n${path}\n`).update(await file.bytes());
  }
  return hash.digest("hex");
}

/** Tells this build's binary from one copied over it by hand. */
function identity(): string {
  const { size, mtimeMs } = statSync(binary);
  return `${size}-${mtimeMs}`;
}

/** Commit of the tree, "+" when it has changes nobody committed; "unknown" outside git. */
function describeCommit(): string {
  const git = Bun.spawnSync(["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"], { cwd: root });
  return git.success ? git.stdout.toString().trim() : "unknown";
}

function run(script: string): void {
  const done = Bun.spawnSync([process.execPath, script], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (!done.success) throw new Error(`${script} failed with code ${done.exitCode}`);
}
