/** Live updates: one line to the server for the whole page, opened anew when it breaks. */
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

export function connect(): void {
  if (source && source.readyState !== EventSource.CLOSED) return;
  source = new EventSource(`${BASE}/events`);
  for (const name of NAMES) {
    source.addEventListener(name, (event) => {
      // the browser's own "error" event of a broken line has no data
      if (!(event instanceof MessageEvent)) return;
      const said = { ...(JSON.parse(event.data as string) as object), name };
      for (const listener of listeners) listener(said);
    });
  }
}

export function disconnect(): void {
  source?.close();
  source = null;
}
