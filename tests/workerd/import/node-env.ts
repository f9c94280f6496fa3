/** On node the environment is the process's. */
import { watchedEnv } from "./counters.ts";

process.env = watchedEnv(process.env);
