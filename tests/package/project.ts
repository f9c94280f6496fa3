/** An empty project somewhere else on this machine, into which the package is installed from its tarball. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CONSUMER = fileURLToPath(new URL("consumer/", import.meta.url));
const run = promisify(execFile);

export interface Ran {
  stdout: string;
  stderr: string;
}

export interface Project {
  folder: string;
  /** The installed package. */
  leeward: string;
  tarball: string;
  /** Runs a program of tests/package/consumer with this node. */
  run(node: string, program: string, args?: readonly string[], env?: Record<string, string>): Promise<Ran>;
  /** Makes a package of this checkout's known to the compiler, as a dependency of the project. */
  link(name: string): void;
  remove(): void;
}

export async function makeProject(): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), "leeward-package-"));
  try {
    const packed = join(folder, "packed");
    const project = join(folder, "project");
    mkdirSync(packed);
    mkdirSync(project);
    const npm = (cwd: string, ...args: string[]) =>
      run("npm", [...args, "--ignore-scripts", "--json"], { cwd, env: offline(join(folder, "npm-cache")) });
    if (!existsSync(join(ROOT, "dist/leeward.wasm")))
      throw new Error("dist/ is missing: run the build first");
    const { stdout } = await npm(ROOT, "pack", "--pack-destination", packed);
    const tarball = join(packed, (JSON.parse(stdout) as { filename: string }[])[0]?.filename ?? "");
    writeFileSync(
      join(project, "package.json"),
      '{ "name": "consumer", "private": true, "type": "module" }\n',
    );
    await npm(project, "install", tarball);
    cpSync(CONSUMER, project, { recursive: true });
    return {
      folder: project,
      leeward: join(project, "node_modules/leeward"),
      tarball,
      async run(node, program, args = [], env = {}) {
        return run(node, [program, ...args], { cwd: project, env: { ...withoutCredentials(), ...env } });
      },
      link(name) {
        const link = join(project, "node_modules", name);
        mkdirSync(dirname(link), { recursive: true });
        symlinkSync(join(ROOT, "node_modules", name), link, "junction");
      },
      remove: () => rmSync(folder, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The node that runs this, and those on the PATH, one of each version. */
export async function nodes(): Promise<{ version: string; node: string }[]> {
  const found = new Map<string, string>([[process.versions.node, process.execPath]]);
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const node = join(folder, "node");
    if (!existsSync(node)) continue;
    const { stdout } = await run(node, ["-p", "process.versions.node"]);
    const version = stdout.trim();
    if (Number.parseInt(version, 10) >= 20 && !found.has(version)) found.set(version, node);
  }
  return [...found].map(([version, node]) => ({ version, node }));
}

/** No network, and nothing written outside the temporary folder. */
function offline(cache: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    npm_config_cache: cache,
    npm_config_offline: "true",
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
    npm_config_loglevel: "error",
  };
}

function withoutCredentials(): NodeJS.ProcessEnv {
  const names = /^(UPSTASH_REDIS_REST|KV_REST_API|REDIS_REST)_(URL|TOKEN)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !names.test(name)));
}
