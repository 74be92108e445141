/**
 * Reading through: where a person is among the films of the worklist, and what comes next.
 *
 * The server keeps the filter and the place, so that page 2, a reload and another browser go on where
 * the reading was.
 */
import { signal } from "@preact/signals";
import { api, type StudyQuery } from "./api";
import type { RoundAnswer } from "./types";

export const selected = signal<string | null>(null);

/** The filter of the worklist from which the next film is opened: a round of its own begins then. */
let chosen: StudyQuery | null = null;

export function beginWith({ limit: _limit, cursor: _cursor, ...query }: StudyQuery): void {
  chosen = query;
}

/** Come to a film, and say what stands beside it. */
export async function comeTo(filmId: string): Promise<RoundAnswer> {
  const query = chosen;
  chosen = null;
  if (query) await api.beginRound(query);
  return api.comeTo(filmId);
}
