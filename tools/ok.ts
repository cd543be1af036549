// `bun run ok`: the one gate. Format, lint, types, generated documents, tests, in this order; `bun run ok lint check` runs only those.
// Invariant: stops at the first step that fails, whose own output is the last thing above the verdict.
const steps = {
  fmt: ["bun", "fmt", "--check"],
  lint: ["bun", "run", "lint"],
  check: ["bun", "check"],
  docs: ["bun", "tools/docs.ts", "--check"],
  test: ["node", "tools/test.mjs"],
} as const;

type Step = keyof typeof steps;
const names = Object.keys(steps) as Step[];
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !names.includes(name as Step));
if (unknown.length > 0) say(`no step ${unknown.join(", ")}; there are ${names.join(", ")}`, 2);

const path = `${import.meta.dir}/../node_modules/.bin:${process.env.PATH}`;
for (const name of names) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const started = performance.now();
  process.stdout.write(`── ${name}: ${steps[name].join(" ")}\n`);
  const done = Bun.spawnSync([...steps[name]], {
    cwd: `${import.meta.dir}/..`,
    env: { ...process.env, PATH: path },
    stdio: ["inherit", "inherit", "inherit"],
  });
  if (!done.success) say(`${name} failed`, 1);
  process.stdout.write(`── ${name}: ok, ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
}

function say(verdict: string, code: number): never {
  process.stderr.write(`── ok: ${verdict}\n`);
  process.exit(code);
}
