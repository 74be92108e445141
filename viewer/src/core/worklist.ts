/** The order in which films are worked through: that of the worklist as it was last shown. */
import { signal } from "@preact/signals";
import type { StudyItem } from "./types";

export const order = signal<readonly string[]>([]);
export const selected = signal<string | null>(null);

export function remember(items: readonly StudyItem[]): void {
  order.value = items.map((item) => item.film_id);
}

/** The film `step` places after this one, or null at the end of the list. */
export function neighbor(filmId: string, step: 1 | -1): string | null {
  const here = order.value.indexOf(filmId);
  return here < 0 ? null : (order.value[here + step] ?? null);
}
