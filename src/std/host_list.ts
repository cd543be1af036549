/** URLs that name several servers: postgres://USER:PASSWORD@A:5432,B:5432/DATABASE. */

const form = /^([a-z+]+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s;

/** A URL for each host of the list, or the URL itself. */
export function urlsOf(url: string): readonly string[] {
  const [, before = "", hosts = "", after = ""] = form.exec(url) ?? [];
  if (!hosts.includes(",")) return [url];
  return hosts.split(",").map((host) => `${before}${host}${after}`);
}
