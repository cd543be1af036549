// `bun run bench <name> [options]`: runs one measurement, prints its table, ends with 1 past its threshold; without a name it lists them.
// A bench is a module with `about`, one line, and `run`, which resolves with whether its thresholds held.

export interface Bench {
  readonly about: string;
  run(args: readonly string[]): Promise<boolean>;
}

const benches: { readonly [name: string]: () => Promise<Bench> } = {
  proxy: () => import("./proxy.ts"),
  queue: () => import("./queue.ts"),
  crash: () => import("./crash.ts"),
  soak: () => import("./soak.ts"),
  open_loop: () => import("./open_loop.ts"),
  journey: () => import("./journey.ts"),
  data: () => import("./data.ts"),
};

async function main([name, ...args]: readonly string[]): Promise<number> {
  const load = benches[name ?? ""];
  if (load) return (await (await load()).run(args)) ? 0 : 1;
  if (name !== undefined) process.stderr.write(`there is no bench ${name}\n`);
  process.stdout.write("bun run bench <name> [options]\n");
  for (const [each, open] of Object.entries(benches)) process.stdout.write(`  ${each}  ${(await open()).about}\n`);
  return name === undefined ? 0 : 2;
}

process.exitCode = await main(process.argv.slice(2));
