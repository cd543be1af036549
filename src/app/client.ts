/** Who is asking, over which scheme and under which name, given how far the peer is trusted. Pure but for what it is handed. */
import { clientOfList, type Trust, unmapped } from "../std/forwarded.ts";

export interface Client {
  readonly ip: string;
  /** The client's connection is TLS, as far as the trusted proxies say. */
  readonly secure: boolean;
  readonly host: string;
  /** It brought X-Forwarded-For, and its peer is nobody whose word counts. */
  readonly ignored: boolean;
}

/** What a request arrived with. */
export interface Arrival {
  /** Address of the peer of the connection; undefined when it has gone already. */
  readonly peer: string | undefined;
  readonly headers: Headers;
}

/** X-Forwarded-* count only from a trusted peer; X-Forwarded-For is read from the right, to the first address not trusted. */
export function clientOf({ peer, headers }: Arrival, trusted: Trust, publicUrl: URL | undefined): Client {
  const ip = unmapped(peer ?? "");
  const believed = trusted(ip);
  const forwardedProto = believed ? headers.get("x-forwarded-proto") : null;
  const forwardedHost = believed ? headers.get("x-forwarded-host") : null;
  return {
    ip: believed ? clientOfList(headers.get("x-forwarded-for") ?? "", ip, trusted) : ip,
    secure: publicUrl ? publicUrl.protocol === "https:" : forwardedProto === "https",
    host: publicUrl?.host ?? forwardedHost ?? headers.get("host") ?? "localhost",
    ignored: !believed && headers.has("x-forwarded-for"),
  };
}
