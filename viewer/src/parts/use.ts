/** Hooks: something fetched, keys of the keyboard, something that fits the screen. */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { asApiError, returns } from "../core/store";
import type { ApiError } from "../core/api";

export interface Loaded<T> {
  value: T | null;
  error: ApiError | null;
  reload: () => void;
  set: (value: T) => void;
}

/** Fetch something whenever `on` changes; an answer that comes too late is dropped. */
export function useLoad<T>(fetcher: () => Promise<T>, on: readonly unknown[]): Loaded<T> {
  const [value, set] = useState<T | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [round, setRound] = useState(0);
  const latest = useRef(fetcher);
  latest.current = fetcher;
  useEffect(() => {
    let wanted = true;
    latest.current().then(
      (found) => {
        if (!wanted) return;
        set(found);
        setError(null);
      },
      (problem: unknown) => {
        const found = asApiError(problem);
        // a page that is covered keeps what it shows
        if (wanted && found.code !== "not-signed-in") setError(found);
      },
    );
    return () => {
      wanted = false;
    };
  }, [...on, round, returns.value]);
  const reload = useCallback(() => setRound((count) => count + 1), []);
  return { value, error, reload, set };
}

const TYPING = "input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select";

/** True where a key belongs to the field that has the focus, or to an open dialog. */
export const isTyping = (event: KeyboardEvent): boolean =>
  (event.target instanceof Element && event.target.matches(TYPING)) ||
  document.querySelector("dialog[open]") !== null;

/** Call the function of a key; `Shift+` before a letter, and never while somebody types. */
export function useKeys(keys: Record<string, (event: KeyboardEvent) => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      const onControl = event.target instanceof Element ? event.target.closest("button, a, input") : null;
      // Enter does nothing to one of several choices
      const isEnter = event.key === "Enter" && !onControl?.matches("[type=radio]");
      if (onControl && (isEnter || event.key === " ")) return;
      if (onControl instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
      const letter = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const name = event.shiftKey && letter !== "?" ? `Shift+${letter}` : letter;
      const action = latest.current[name];
      if (!action) return;
      event.preventDefault();
      action(event);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

/** Let the browser save bytes under a name. */
export function handOver(bytes: Blob, name: string): void {
  const address = URL.createObjectURL(bytes);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000); // the browser has begun by then
}
