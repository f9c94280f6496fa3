/** The failure contract, with the flag `handle_cross_request_promise_resolution` on. */
import { guardFaults } from "./fault-contract.ts";
import { FLAG_ON } from "./stage.ts";

guardFaults(FLAG_ON, [1]);
