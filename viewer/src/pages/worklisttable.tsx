/** The table of the worklist: one row a study. */
import { date, named, near, t } from "../core/i18n";
import { go, may, me } from "../core/store";
import type { StudyItem } from "../core/types";
import { headline, tone } from "../core/words";
import { selected } from "../core/worklist";
import { labelName, StatusTag, Thumbnail } from "../parts/ui";

export function StudyTable(props: {
  items: readonly StudyItem[];
  filtered: boolean;
  clear: () => void;
  /** The studies that are ticked; null where none can be. */
  ticked: ReadonlySet<string> | null;
  tick: (studyId: string) => void;
  /** A film of these is about to be opened. */
  open: () => void;
}) {
  if (props.items.length === 0) return <Nothing {...props} />;
  return (
    <div class="table-box" tabIndex={0} role="region" aria-label={t("nav.worklist")}>
      <table class="studies">
        <thead>
          <tr>
            {props.ticked && (
              <th>
                <span class="unseen">{t("deletion.tick")}</span>
              </th>
            )}
            <th>
              <span class="unseen">{t("column.film")}</span>
            </th>
            <th>{t("column.study")}</th>
            <th>{t("column.patient")}</th>
            <th>{t("column.arrived")}</th>
            <th>{t("column.status")}</th>
            <th>{t("column.result")}</th>
            <th>{t("column.review")}</th>
          </tr>
        </thead>
        <tbody>
          {props.items.map((item) => (
            <Row key={item.study_id} item={item} ticked={props.ticked} tick={props.tick} open={props.open} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row(props: {
  item: StudyItem;
  ticked: ReadonlySet<string> | null;
  tick: (studyId: string) => void;
  open: () => void;
}) {
  const { item, ticked } = props;
  const chosen = item.film_id === selected.value;
  return (
    <tr
      data-film={item.film_id}
      class={chosen ? "chosen" : undefined}
      onClick={() => (selected.value = item.film_id)}
      onDblClick={() => {
        props.open();
        go(`film/${item.film_id}`);
      }}
    >
      {ticked && (
        <td>
          <input
            type="checkbox"
            aria-label={`${t("deletion.tick")}: ${item.name ?? item.patient.id ?? t("film.unnamed")}`}
            checked={ticked.has(item.study_id)}
            onChange={() => props.tick(item.study_id)}
          />
        </td>
      )}
      <td class="thumb">
        <Thumbnail film={item.film_id} size={44} />
      </td>
      <td class="study">
        <a href={`#/film/${item.film_id}`} aria-current={chosen ? "true" : undefined} onClick={props.open}>
          {item.name ?? t("film.unnamed")}
        </a>
        <div class="soft">
          {[
            item.view,
            item.films > 1 && t("study.films", { count: item.films }),
            item.study_date,
            item.accession && t("patient.accession", { number: item.accession }),
          ]
            .filter(Boolean)
            .join(" · ")}
        </div>
      </td>
      <td class="patient">
        {item.patient.name && <div>{item.patient.name}</div>}
        {item.patient.id ?? "–"}
        <div class="soft">{who(item)}</div>
      </td>
      <td class="nowrap">{date(item.created_at)}</td>
      <td>
        <StatusTag status={item.status} />
      </td>
      <td>
        <Result item={item} />
      </td>
      <td>
        {item.reviewed ? <span class="tag good">✓ {t("reviewed.yes")}</span> : <span class="soft">–</span>}
        {item.reports > 0 && <div class="soft">{t("study.reports", { count: item.reports })}</div>}
      </td>
    </tr>
  );
}

function who({ patient }: StudyItem): string {
  const age = patient.age_years === null ? "" : t("years", { count: Math.floor(patient.age_years) });
  return [patient.sex, age].filter(Boolean).join(", ");
}

/** What was said of the study; a refused film has a reason and never a number. */
function Result({ item }: { item: StudyItem }) {
  if (me.value?.blind && item.status === "read" && !item.blind_pending) {
    return <span class="soft">{t("blind.in-film")}</span>;
  }
  if (item.blind_pending) return <span class="tag blind">{t("blind.first")}</span>;
  // one film that could not be opened keeps no answer to the others from anybody
  if (item.status === "error" && !item.findings.length) return <span class="soft">{t("reading.not-opened")}</span>;
  if (item.status === "refused") return <span class="soft">{item.refusal && named("refusal", item.refusal)}</span>;
  return (
    <ul class="results">
      {item.findings.map(({ label, probability, answer }) => (
        <li key={label}>
          <span class="bar-label">{labelName(label)}</span>
          <meter min={0} max={1} value={probability} aria-label={labelName(label)} />
          <b>{near(probability)}{"\u00a0%"}</b>
          <span class={`tag answer-${tone(answer)}`}>{headline(answer, labelName(label))}</span>
        </li>
      ))}
    </ul>
  );
}

function Nothing(props: { filtered: boolean; clear: () => void }) {
  return (
    <div class="nothing">
      <h2>{t(props.filtered ? "worklist.none-match" : "worklist.empty")}</h2>
      {props.filtered ? (
        <button onClick={props.clear}>{t("worklist.clear")}</button>
      ) : (
        <p>{t(may("reviewer") ? "worklist.empty.hint" : "worklist.empty.reader")}</p>
      )}
    </div>
  );
}
