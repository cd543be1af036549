/** What the bundler makes of `with { type: "file" }`: the path of the file, on disk or inside the binary. */
declare module "*.wasm" {
  const path: string;
  export default path;
}
declare module "*.data" {
  const path: string;
  export default path;
}
declare module "*.tar.gz" {
  const path: string;
  export default path;
}
