/** Everything that the server says of one film, kept up to date. */
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { listen } from "../core/events";
import { language } from "../core/i18n";
import { asApiError, complain, me } from "../core/store";
import type { ApiError } from "../core/api";
import type { FilmAnswer, MeAnswer, OverlaysAnswer, ReadingAnswer, StudyAnswer, VerdictAnswer } from "../core/types";
import { paintHeat, shown, type Heat } from "./layers";
import { operatingPoint, prevalence } from "./result";
import { useLoad } from "../parts/use";

export interface FilmData {
  film: FilmAnswer | null;
  study: StudyAnswer | null;
  answer: ReadingAnswer | null;
  overlays: OverlaysAnswer | null;
  verdicts: readonly VerdictAnswer[];
  blind: boolean;
  error: ApiError | null;
  reload: () => void;
  /** Fetch all anew; done once it is known whether the film is still read blind. */
  renew: () => Promise<void>;
}

const BLIND = "blind-read-pending";

/** Null instead of an answer where there is none yet, or none for this person yet. */
async function unlessPending<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if ([BLIND, "not-read"].includes(asApiError(error).code)) return null;
    throw error;
  }
}

/** The film that is probably opened next, and what the server told this person of it meanwhile. */
let next: { filmId: string; who: MeAnswer | null; told: Told | null } | null = null;
interface Told {
  film: FilmAnswer;
  study: StudyAnswer;
}
listen((event) => {
  if (event.name === "open" || event.film_id === next?.filmId) next = null;
});

/** Ask for a film before it is opened: it is drawn at once, with whose it is, while all the rest is asked for. */
export async function askAhead(filmId: string): Promise<void> {
  const asked = (next = { filmId, who: me.value, told: null as Told | null });
  try {
    const film = await api.film(filmId);
    asked.told = { film, study: await api.study(film.study_id) };
  } catch {
    // whoever opens it is told why it cannot be had
  }
}

/** What was told ahead of a film; once, for it is old from then on, and to nobody else. */
function toldAhead(filmId: string): Told | null {
  const told = next?.filmId === filmId && next.who === me.value ? next.told : null;
  next = null;
  return told;
}

export function useFilm(filmId: string): FilmData {
  const [told] = useState(() => toldAhead(filmId));
  const film = useLoad(() => api.film(filmId), [filmId, me.value?.blind]);
  const here = film.value?.film_id === filmId ? film.value : null;
  const known = here ?? told?.film ?? null;
  const blind = known?.blind_pending ?? false;
  const on = [filmId, here?.status, here?.reading_id, blind];
  const studyId = here?.study_id ?? "";
  const study = useLoad(() => (studyId ? api.study(studyId) : Promise.resolve(null)), [studyId, ...on]);
  const query = { prevalence: prevalence.value, operating_point: operatingPoint.value || null };
  const answer = useLoad(
    () => (here && !blind ? unlessPending(api.reading(filmId, query)) : Promise.resolve(null)),
    [...on, prevalence.value, operatingPoint.value, language.value],
  );
  const overlays = useLoad(
    () => (here?.reading_id && !blind ? unlessPending(api.overlays(filmId)) : Promise.resolve(null)),
    on,
  );
  const verdicts = useLoad(async () => (here ? ((await unlessPending(api.verdicts(filmId))) ?? []) : []), on);

  const reloadRest = () => {
    for (const each of [study, answer, overlays, verdicts]) each.reload();
  };
  const reload = () => {
    film.reload();
    reloadRest();
  };
  const renew = async () => {
    film.set(await api.film(filmId));
    reloadRest();
  };
  useLayoutEffect(
    () =>
      listen((event) => {
        if (event.name === "open" || event.film_id === filmId) reload();
      }),
    [filmId],
  );
  useEffect(() => {
    // a prevalence that the bundle cannot restate is said once and forgotten
    if (answer.error?.status === 422) {
      complain(answer.error);
      prevalence.value = null;
      operatingPoint.value = "";
    }
  }, [answer.error]);
  return {
    film: known,
    study: study.value ?? told?.study ?? null,
    answer: answer.value?.film_id === filmId ? answer.value : null,
    overlays: blind ? null : overlays.value,
    verdicts: verdicts.value ?? [],
    blind,
    error: film.error,
    reload,
    renew,
  };
}

/** The reading of the film beside, and what can be laid over it; nothing of one to be read blind. */
export function useBeside(filmId: string | null): { answer: ReadingAnswer | null; overlays: OverlaysAnswer | null } {
  const found = useLoad(async () => {
    if (!filmId) return null;
    const answer = await unlessPending(api.reading(filmId));
    const overlays = answer?.reading?.status === "read" ? await unlessPending(api.overlays(filmId)) : null;
    return { filmId, answer, overlays };
  }, [filmId, me.value?.blind]).value;
  return found && found.filmId === filmId ? found : { answer: null, overlays: null };
}

/** The heatmap of a label, fetched when it is first switched on. */
export function useHeat(overlays: OverlaysAnswer | null, label: string): Heat | null {
  const [heat, setHeat] = useState<Heat | null>(null);
  const info = overlays?.heatmaps.find((each) => each.label === label) ?? overlays?.heatmaps[0] ?? null;
  const wanted = shown.value.heatmap.on;
  useEffect(() => {
    if (!info || !wanted) return;
    let current = true;
    setHeat(null);
    api.heatmap(info.f32).then(
      (values) => current && setHeat(paintHeat(info, values)),
      (error: unknown) => current && complain(error),
    );
    return () => {
      current = false;
    };
  }, [info?.f32, wanted]);
  return info ? heat : null;
}
