// Reads one number of a process's /metrics, as a dashboard would.

/** A process that lives answers in no time, however busy the machine is. */
const answerMilliseconds = 5_000;

/**
 * Sum of the samples of `name` whose labels are among theirs: `metric(app.adminUrl, "http_requests_total", { status: "200" })`.
 * 0 where there is none.
 */
export async function metric(
  adminUrl: string,
  name: string,
  labels: { readonly [label: string]: string } = {},
): Promise<number> {
  const signal = AbortSignal.timeout(answerMilliseconds);
  const text = await (await fetch(`${adminUrl}/metrics`, { keepalive: false, signal })).text();
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((pair) => line.includes(pair)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}
