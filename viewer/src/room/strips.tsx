/** Other films of the patient: of the same study, earlier and later ones apart. */
import { located } from "../core/api";
import { figures, t } from "../core/i18n";
import type { FilmAnswer, Similar, StudyAnswer, StudyItem } from "../core/types";
import { labelName, Thumbnail } from "../parts/ui";

/** True for a study before this one: by the dates of both, else by when they came. */
export function isEarlier(other: StudyItem, study: StudyAnswer): boolean {
  const [then, now] = [other.study_date, study.study_date];
  return then && now && then !== now ? then < now : other.created_at < study.created_at;
}

export function Strips(props: {
  study: StudyAnswer | null;
  filmId: string;
  beside: string | null;
  compare: (filmId: string | null) => void;
}) {
  const { study } = props;
  if (!study) return null;
  const others = study.films.filter((film) => film.film_id !== props.filmId);
  const strips = [
    [t("strip.earlier"), study.prior.filter((each) => isEarlier(each, study))],
    [t("strip.later"), study.prior.filter((each) => !isEarlier(each, study))],
    [t("strip.study"), others],
  ] as const;
  if (strips.every(([, films]) => films.length === 0)) return null;
  return (
    <div class="strips" role="region" aria-label={t("strips")}>
      {strips.map(([title, films]) => films.length > 0 && (
        <section key={title} class="strip" aria-label={title}>
          <h3>{title}</h3>
          <ul tabIndex={0} aria-label={title}>
            {films.map((film) => (
              <Other key={film.film_id} {...props} film={film} />
            ))}
          </ul>
        </section>
      ))}
    </div>
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
        title={[t("strip.beside"), film.name].filter(Boolean).join(": ")}
        onClick={() => props.compare(open ? null : film.film_id)}
      >
        <Thumbnail film={film.film_id} size={40} />
        <span>
          {[when, film.view].filter(Boolean).join(" · ") || film.name}
          <small>{t(`status.${film.status}`)}</small>
        </span>
      </button>
    </li>
  );
}

/** Films of the training that look like this one. */
export function Alikes({ similar, pictures }: { similar: readonly Similar[]; pictures: readonly (string | null)[] }) {
  if (similar.length === 0) return null;
  return (
    <section class="strip" aria-label={t("strip.similar")}>
      <h3>{t("strip.similar")}</h3>
      <ul>
        {similar.map((each, place) => (
          <Alike key={`${each.cohort}/${each.case_id}`} similar={each} picture={pictures[place] ?? null} />
        ))}
      </ul>
    </section>
  );
}

/** A film of the training collections: its facts, and its picture where the site has the collection. */
function Alike({ similar, picture }: { similar: Similar; picture: string | null }) {
  const known = Object.entries(similar.labels).map(([label, value]) =>
    value ? labelName(label) : t("similar.not", { label: labelName(label) }),
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
