/**
 * Desk: what a person has begun on a film and not given yet.
 *
 * The server keeps it as it is made: choices, words, marks and measurements are there again after the
 * next film, a reload, in another window. What it could not take stays here, and leaving asks.
 */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { api } from "../core/api";
import { unkept } from "../core/leave";
import { complain, may } from "../core/store";
import type { Call, DeskAnswer, Mark, OnDesk } from "../core/types";
import type { FilmView } from "./filmview";

const PAUSE_MS = 300;

export type Work = Required<Omit<OnDesk, "version">>;
export interface Desk {
  work: Work;
  /** As it is now, though the page is not drawn with it yet. */
  latest: () => Work;
  change: (changes: Partial<Work>) => void;
  /** This was given: what differs from it by now stays, and what measures the film. */
  given: (taken: Work) => void;
}

const EMPTY: Work = { choices: {}, confidence: {}, text: "", corrected_label: null, blind: false, marks: [] };

const workOf = ({ choices, confidence, text, corrected_label, blind, marks }: DeskAnswer): Work => ({
  choices, confidence, text, corrected_label, blind,
  marks: marks.map(({ kind, points, text: said }) => ({ kind, points, text: said })),
});
/** How sure one was, of the choices that still are what they were: another one is as sure as one says anew. */
const stillSure = (choices: Work["choices"], before: Pick<Work, "choices" | "confidence">): Work["confidence"] =>
  Object.fromEntries(
    Object.entries(before.confidence).filter(([label]) => choices[label] && choices[label] === before.choices[label]),
  );
const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

/** What is on its way to the server, by film: whatever is asked of it later waits until it is there. */
const sending = new Map<string, Promise<void>>();
export const sent = (filmId: string): Promise<void> => sending.get(filmId) ?? Promise.resolve();

/** `blind` is null until it is known whether this film is read blind: choices are of the one or the other. */
export function useDesk(filmId: string, view: FilmView | null, blind: boolean | null): Desk {
  const [work, setWork] = useState<Work>(EMPTY);
  const [open, setOpen] = useState(false);
  const latest = useRef(work);
  const kept = useRef({ version: 0, work: EMPTY });
  const timer = useRef(0);
  const busy = useRef(false);

  const shown = useRef<FilmView | null>(null);

  // drawn before anything else is: what is drawn is taken for what the person wants
  const adopt = (now: Work) => {
    if (shown.current && !same(shown.current.drawn(), now.marks)) shown.current.draw(now.marks);
    latest.current = now;
    setWork(now);
  };

  const send = useCallback(async (leaving: boolean) => {
    const work = latest.current;
    if (same(work, kept.current.work)) return;
    // what is on its way will have been kept before this: it is no other window's
    const version = kept.current.version + (busy.current ? 1 : 0);
    busy.current = true;
    try {
      const found = await api.keepDesk(filmId, { ...work, version }, leaving);
      const theirs = workOf(found);
      kept.current = { version: found.version, work: theirs };
      unkept.delete(filmId);
      if (same(latest.current, work) && !same(theirs, work)) adopt(theirs); // of another window, too
    } catch (error) {
      unkept.add(filmId);
      if (!leaving) complain(error);
    } finally {
      busy.current = false;
    }
  }, [filmId]);

  /** One after the other: choices that were given would come back if they overtook what empties them. */
  const keep = useCallback((leaving = false) => {
    clearTimeout(timer.current);
    sending.set(filmId, sent(filmId).then(() => send(leaving)));
  }, [send]);

  const change = useCallback((changes: Partial<Work>) => {
    const before = latest.current;
    const now = { ...before, ...changes };
    adopt({ ...now, confidence: stillSure(now.choices, { ...now, choices: before.choices }) });
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => keep(), PAUSE_MS);
  }, [keep]);

  useEffect(() => {
    if (!may("reviewer") || blind === null) return;
    let wanted = true;
    void sent(filmId).then(() => api.desk(filmId)).then((found) => {
      if (!wanted) return;
      const theirs = workOf(found);
      kept.current = { version: found.version, work: theirs };
      const begun = latest.current; // a key may have been faster than the server
      const choices = { ...(theirs.blind === blind ? theirs.choices : {}), ...begun.choices };
      const confidence = { ...stillSure(choices, theirs), ...begun.confidence };
      adopt({ ...theirs, blind, choices, confidence });
      setOpen(true);
    }, complain);
    const close = () => void send(true); // a page that ends waits for nothing
    addEventListener("pagehide", close);
    return () => {
      wanted = false;
      removeEventListener("pagehide", close);
      keep(true);
    };
  }, [filmId, blind === null]);

  useEffect(() => {
    if (blind !== null && latest.current.blind !== blind && open) change({ blind, choices: {} });
  }, [blind, open]);

  useEffect(() => {
    if (!view || !open) return;
    shown.current = view;
    if (!same(view.drawn(), latest.current.marks)) view.draw(latest.current.marks);
    const stop = view.onChange(() => {
      const marks: Mark[] = view.drawn();
      if (!same(marks, latest.current.marks)) change({ marks });
    });
    return () => {
      stop();
      shown.current = null;
    };
  }, [view, open]);

  const given = useCallback((taken: Work) => {
    const { choices, text, corrected_label, marks } = latest.current;
    change({
      choices: Object.fromEntries(Object.entries(choices).filter(([label, call]) => call !== taken.choices[label])),
      text: text === taken.text ? "" : text,
      corrected_label: corrected_label === taken.corrected_label ? null : corrected_label,
      marks: marks.filter((mark) => mark.kind !== "rectangle" || !taken.marks.some((each) => same(each, mark))),
    });
  }, [change]);
  return { work, latest: () => latest.current, change, given };
}

/** What is on a desk, with the words and the marks of a verdict that was taken back. */
export function putBack(desk: Work | DeskAnswer, { text, corrected_label, marks }: Work): Work {
  const now = "version" in desk ? workOf(desk) : desk;
  return {
    ...now,
    text: now.text || text,
    corrected_label: now.corrected_label ?? corrected_label,
    marks: [...now.marks, ...marks.filter((mark) => !now.marks.some((each) => same(each, mark)))],
  };
}

/** The first finding without a choice gets this one. */
export function chosen(choices: Work["choices"], labels: readonly string[], call: Call): Work["choices"] {
  const open = labels.find((label) => !choices[label]) ?? labels[0];
  return open ? { ...choices, [open]: call } : choices;
}
