/** Facts: what the file says of the film, and every step from stored values to the network. */
import { useState } from "preact/hooks";
import { api } from "../core/api";
import { date, knows, named, number, t } from "../core/i18n";
import { told } from "../core/sentences";
import { go, may } from "../core/store";
import type { FilmAnswer, ReadingAnswer } from "../core/types";
import { calibrations, setRuler } from "./ruler";
import { lengthUnit } from "./units";
import { DeletionDialog } from "../parts/deletion";
import { Trouble } from "../parts/ui";
import { useLoad } from "../parts/use";

export function FilmFacts(props: { filmId: string; film: FilmAnswer | null; answer: ReadingAnswer | null }) {
  const image = useLoad(() => api.image(props.filmId), [props.filmId, props.film?.reading_id, calibrations.value]);
  const [removing, setRemoving] = useState(false);
  const { film, answer } = props;
  if (image.error) return <Trouble error={image.error} again={image.reload} />;
  const about = image.value;
  const facts: [string, string][] = about
    ? [
        [t("facts.size"), `${about.columns} × ${about.rows}`],
        [t("facts.bits"), `${about.bits} (${about.min}–${about.max})`],
        [
          t("facts.spacing"),
          about.spacing_mm
            ? `${number(about.spacing_mm[0], 3)} × ${number(about.spacing_mm[1], 3)} ${lengthUnit(about)}`
            : t("facts.unknown"),
        ],
        ...(about.spacing_source ? [[t("facts.spacing-source"), told(about.spacing_source)] as [string, string]] : []),
        [t("facts.sides"), t(`sides.${about.sides}`)],
        ...Object.entries(about.metadata)
          .filter(([, value]) => value !== null)
          .map(([name, value]): [string, string] => [
            knows("fact", name) ? named("fact", name) : name.replaceAll("_", " "),
            name === "age_years" ? String(Math.floor(Number(value))) : String(value),
          ]),
      ]
    : [];
  const reading = answer?.reading;
  return (
    <div class="facts-panel">
      <dl class="facts">
        {facts.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`}>{value}</dd>])}
        <dt>{t("column.arrived")}</dt>
        <dd>{date(film?.created_at)}</dd>
        <dt>{t("facts.read-at")}</dt>
        <dd>
          {date(film?.read_at)}
          {reading && ` (${number(reading.elapsed_ms, 0)} ${t("unit.ms")})`}
        </dd>
      </dl>
      {about?.ruler && (
        <p class="ruler">
          {t("ruler.known", { by: about.ruler.by, mm: number(about.ruler.mm, 1) })}{" "}
          {may("reviewer") && (
            <button onClick={() => about.ruler && void setRuler(props.filmId, about.ruler.points, null)}>
              {t("ruler.undo")}
            </button>
          )}
        </p>
      )}
      {[...(about?.corrected ?? []), ...(about?.notes ?? [])].map((note) => (
        <p key={note} class="warn-line">
          {told(note)}
        </p>
      ))}
      {reading && reading.history.length > 0 && (
        <details>
          <summary>{t("facts.history")}</summary>
          <ol>
            {reading.history.map((step) => (
              <li key={step}>{step}</li>
            ))}
          </ol>
        </details>
      )}
      {may("administrator") && film && film.status !== "queued" && (
        <p class="actions">
          <button class="danger" onClick={() => setRemoving(true)}>
            {t("study.delete")}
          </button>
        </p>
      )}
      {removing && film && (
        <DeletionDialog
          what={{ study_ids: [film.study_id] }}
          close={() => setRemoving(false)}
          done={() => go("")}
        />
      )}
    </div>
  );
}
