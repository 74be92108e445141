/** Ruler: a person draws a line over an object of known length, and types its millimeters. */
import { signal } from "@preact/signals";
import { api } from "../core/api";
import { number, t } from "../core/i18n";
import { complain, say } from "../core/store";
import type { RulerFacts } from "../core/types";

/** Counts the rulers that were set or taken back here: a film is opened anew with its new spacing. */
export const calibrations = signal(0);

/** Ask how long a line is, and keep it with the film. */
export async function askLength(filmId: string, points: RulerFacts["points"]): Promise<void> {
  const typed = window.prompt(t("ruler.ask"))?.trim().replace(",", ".");
  if (!typed) return;
  const mm = Number(typed);
  if (!(mm > 0 && mm <= 2000)) return say("bad", t("ruler.wrong", { typed }));
  await setRuler(filmId, points, mm);
}

export async function setRuler(filmId: string, points: RulerFacts["points"], mm: number | null): Promise<void> {
  try {
    await api.setRuler(filmId, points, mm);
    say("good", mm === null ? t("ruler.taken-back") : t("ruler.set", { mm: number(mm, 1) }));
    const { FilmView } = await import("./filmview");
    FilmView.forget(filmId);
    calibrations.value += 1;
  } catch (error) {
    complain(error);
  }
}
