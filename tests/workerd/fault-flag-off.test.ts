/** The failure contract, with the flag `handle_cross_request_promise_resolution` off. */
import { guardFaults } from "./fault-contract.ts";
import { FLAG_OFF } from "./stage.ts";

guardFaults(FLAG_OFF, [20]);
