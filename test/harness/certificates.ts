// A server's certificate for 127.0.0.1 and the authority nobody knows that signed it, made by openssl.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Writes authority.pem, server.pem and server.key into a directory. */
export function makeCertificates(directory: string): void {
  const run = (...args: readonly string[]) => {
    const { success, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: directory, stderr: "pipe" });
    if (!success) throw new Error(`openssl ${args.join(" ")}: ${stderr.toString()}`);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  writeFileSync(join(directory, "names"), "subjectAltName=IP:127.0.0.1");
  run(
    "req",
    "-x509",
    ...key,
    "-days",
    "2",
    "-keyout",
    "authority.key",
    "-out",
    "authority.pem",
    "-subj",
    "/CN=authority",
  );
  run("req", ...key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1");
  const signing = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-extfile", "names"];
  run("x509", "-req", "-in", "server.csr", ...signing, "-days", "2", "-out", "server.pem");
}
