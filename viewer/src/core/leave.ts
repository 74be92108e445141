/** Leaving: the browser asks before it closes or reloads what would be lost by that. */
import { busy } from "./upload";

/** Names of what is not kept anywhere else: texts of reports, work that the server did not take. */
export const unkept = new Set<string>();

addEventListener("beforeunload", (event) => {
  if (busy.value || unkept.size > 0) event.preventDefault();
});
