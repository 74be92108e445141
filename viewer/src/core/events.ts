/**
 * Live updates: one line to the server for the whole page, opened anew when it breaks.
 *
 * The server tells what happens from the moment in which the line is open, so that is an event, too,
 * named "open": what a page fetched before it may be old.
 */
import { BASE } from "./api";

export interface ServerEvent {
  name: string;
  film_id?: string;
  study_id?: string;
}
type Listener = (event: ServerEvent) => void;

const NAMES = ["accepted", "reading", "read", "refused", "error", "verdict", "report", "deleted", "bundle"];
const listeners = new Set<Listener>();
let source: EventSource | null = null;

export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(event: ServerEvent): void {
  for (const listener of listeners) listener(event);
}

export function connect(): void {
  if (source && source.readyState !== EventSource.CLOSED) return;
  source = new EventSource(`${BASE}/events`);
  source.addEventListener("open", () => tell({ name: "open" }));
  for (const name of NAMES) {
    source.addEventListener(name, (event) => {
      // the browser's own "error" event of a broken line has no data
      if (!(event instanceof MessageEvent)) return;
      tell({ ...(JSON.parse(event.data as string) as object), name });
    });
  }
}

export function disconnect(): void {
  source?.close();
  source = null;
}
