/**
 * The demo's origin: a slow HTTP service that owns the learners and their submissions. Node, without dependencies.
 *
 *   GET  /learners                   the learners
 *   GET  /learners/:id/xp            the banked XP, computed anew, after `delay`
 *   POST /learners/:id/submissions   { "lesson": "fractions-4", "xp": 20 } -> 201, kept in the data file
 *   GET  /counters                   { computations, submissions }: what the cache spared us, and what it did not
 *
 * Runs alone, too: `UPSTREAM_PORT=8790 UPSTREAM_DELAY=400 node dev/upstream.mjs`.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { bankedXp } from "./banked-xp.mjs";

const SEED = fileURLToPath(new URL("../examples/demo/learners.json", import.meta.url));
const FILE = fileURLToPath(new URL("../.leeward/learners.json", import.meta.url));
const MAX_BODY = 16 * 1024;

/** @typedef {{ learners: import("./banked-xp.mjs").Learner[], submissions: import("./banked-xp.mjs").Submission[] }} Data */

/** An answer other than 2xx, thrown. */
class Refusal extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {object} [options]
 * @param {number} [options.port] 0: a free one. Default 8790.
 * @param {number} [options.delay] ms that one computation takes. Default 400.
 * @param {string} [options.file] the running copy of the data. Default `.leeward/learners.json`.
 * @param {string} [options.seed] what the running copy begins as. Default `examples/demo/learners.json`.
 */
export async function startUpstream({ port = 8790, delay = 400, file = FILE, seed = SEED } = {}) {
  const data = await open(file, seed);
  const counters = { computations: 0, submissions: 0 };
  // One write after the other, so that a slow one never overwrites a newer one.
  let written = Promise.resolve();

  /** @param {string} id */
  async function xp(id) {
    const learner = find(data, id);
    counters.computations += 1;
    // The records are read after the delay: the answer is as fresh as the moment it is given.
    await wait(delay);
    return bankedXp(learner, data.submissions, Date.now());
  }

  /** @param {string} id @param {import("node:http").IncomingMessage} request */
  async function submit(id, request) {
    const learner = find(data, id);
    const { lesson, xp } = submissionOf(await bodyOf(request));
    const submission = { learner: learner.id, lesson, xp, at: new Date().toISOString() };
    data.submissions.push(submission);
    counters.submissions += 1;
    written = written.catch(() => {}).then(() => save(file, data));
    await written;
    return submission;
  }

  /** @param {import("node:http").IncomingMessage} request */
  async function answer(request) {
    const route = `${request.method} ${new URL(request.url ?? "/", "http://upstream").pathname}`;
    const [, reads] = /^GET \/learners\/([^/]+)\/xp$/.exec(route) ?? [];
    if (reads) return { status: 200, body: await xp(decodeURIComponent(reads)) };
    const [, submits] = /^POST \/learners\/([^/]+)\/submissions$/.exec(route) ?? [];
    if (submits) return { status: 201, body: await submit(decodeURIComponent(submits), request) };
    if (route === "GET /learners") return { status: 200, body: data.learners };
    if (route === "GET /counters") return { status: 200, body: counters };
    throw new Refusal(404, "no such route");
  }

  const server = createServer(async (request, response) => {
    const { status, body } = await answer(request).catch((error) => ({
      status: error instanceof Refusal ? error.status : 500,
      body: { error: error.message },
    }));
    response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
    response.end(`${JSON.stringify(body)}\n`);
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(undefined));
  });
  const bound = /** @type {import("node:net").AddressInfo} */ (server.address()).port;

  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    counters: () => ({ ...counters }),
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await written.catch(() => {});
    },
  };
}

/**
 * The running copy, made from the seed when there is none.
 *
 * @param {string} file @param {string} seed
 * @returns {Promise<Data>}
 */
async function open(file, seed) {
  await mkdir(dirname(file), { recursive: true });
  const text = await readFile(existsSync(file) ? file : seed, "utf8");
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${file} is not JSON; remove it to begin with the seed again`, { cause });
  }
}

/**
 * Beside the file and then over it: whoever reads it finds one whole state.
 *
 * @param {string} file @param {Data} data
 */
async function save(file, data) {
  await writeFile(`${file}.new`, `${JSON.stringify(data, null, 2)}\n`);
  await rename(`${file}.new`, file);
}

/** @param {Data} data @param {string} id */
function find(data, id) {
  const learner = data.learners.find((one) => one.id === id);
  if (!learner) throw new Refusal(404, "no such learner");
  return learner;
}

/** @param {import("node:http").IncomingMessage} request */
async function bodyOf(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > MAX_BODY) throw new Refusal(413, "body too large");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, "the body is not JSON");
  }
}

/** @param {unknown} body */
function submissionOf(body) {
  const { lesson, xp } = /** @type {Record<string, unknown>} */ (body ?? {});
  if (typeof lesson !== "string" || lesson === "" || lesson.length > 100)
    throw new Refusal(400, "lesson: expected a name");
  if (typeof xp !== "number" || !Number.isInteger(xp) || xp < 1 || xp > 1000)
    throw new Refusal(400, "xp: expected an integer from 1 to 1000");
  return { lesson, xp };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.env.UPSTREAM_PORT || 8790);
  const { url } = await startUpstream({ port, delay: Number(process.env.UPSTREAM_DELAY || 400) });
  console.log(`upstream: ${url}/learners`);
}
