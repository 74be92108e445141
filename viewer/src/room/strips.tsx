/** Strips beneath the film: other films of the study, earlier studies, films that look alike. */
import { api, located } from "../core/api";
import { figures, t } from "../core/i18n";
import type { FilmAnswer, Similar, StudyAnswer, StudyItem } from "../core/types";
import { labelName } from "../parts/ui";

export function Strips(props: {
  study: StudyAnswer | null;
  filmId: string;
  similar: readonly Similar[];
  pictures: readonly (string | null)[];
  beside: string | null;
  compare: (filmId: string | null) => void;
}) {
  const { study } = props;
  const others = study?.films.filter((film) => film.film_id !== props.filmId) ?? [];
  const prior = study?.prior ?? [];
  if (others.length + prior.length + props.similar.length === 0) return null;
  return (
    <div class="strips" role="region" aria-label={t("strips")}>
      {others.length > 0 && (
        <Strip title={t("strip.study")}>
          {others.map((film) => (
            <Other key={film.film_id} film={film} beside={props.beside} compare={props.compare} />
          ))}
        </Strip>
      )}
      {prior.length > 0 && (
        <Strip title={t("strip.prior")}>
          {prior.map((item) => (
            <Other key={item.film_id} film={item} beside={props.beside} compare={props.compare} />
          ))}
        </Strip>
      )}
      {props.similar.length > 0 && (
        <Strip title={t("strip.similar")}>
          {props.similar.map((each, place) => (
            <Alike
              key={`${each.cohort}/${each.case_id}`}
              similar={each}
              picture={props.pictures[place] ?? null}
            />
          ))}
        </Strip>
      )}
    </div>
  );
}

function Strip({ title, children }: { title: string; children: preact.ComponentChildren }) {
  return (
    <section class="strip" aria-label={title}>
      <h3>{title}</h3>
      <ul tabIndex={0} aria-label={title}>
        {children}
      </ul>
    </section>
  );
}

function Other(props: {
  film: FilmAnswer | StudyItem;
  beside: string | null;
  compare: (filmId: string | null) => void;
}) {
  const { film } = props;
  const open = props.beside === film.film_id;
  const when = "study_date" in film ? film.study_date : null;
  return (
    <li>
      <button
        class="strip-film"
        aria-pressed={open}
        title={t("strip.beside")}
        onClick={() => props.compare(open ? null : film.film_id)}
      >
        <img src={api.thumbnail(film.film_id)} alt="" width="56" height="56" loading="lazy" />
        <span>
          {film.name}
          <small>{[when, film.view, t(`status.${film.status}`)].filter(Boolean).join(" · ")}</small>
        </span>
      </button>
    </li>
  );
}

/** A film of the training collections: its facts, and its picture where the site has the collection. */
function Alike({ similar, picture }: { similar: Similar; picture: string | null }) {
  const known = Object.entries(similar.labels).map(([label, value]) =>
    value ? labelName(label) : t("answer.not", { label: labelName(label) }),
  );
  return (
    <li class="alike" title={similar.case_id}>
      {picture && <img src={located(picture)} alt="" width="56" height="56" loading="lazy" />}
      <span>
        <b>{known.join(", ") || t("similar.unknown")}</b>
        <small>{similar.cohort}</small>
        <small class="soft">
          {t("similar.distance")} {figures(similar.distance)}
        </small>
      </span>
    </li>
  );
}
