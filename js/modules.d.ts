declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** What it exports depends on the build of workerd. */
declare module "cloudflare:workers";
