declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** What it exports depends on the build of workerd. */
declare module "cloudflare:workers";

/** The text of a script. */
declare module "*.lua" {
  const source: string;
  export default source;
}
