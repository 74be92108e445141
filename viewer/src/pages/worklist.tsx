/** Worklist: every study, newest or most urgent first; live, searchable, by keyboard. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, type StudyQuery } from "../core/api";
import { listen } from "../core/events";
import { t } from "../core/i18n";
import { go, may, me } from "../core/store";
import type { AskDeletion, FilmStatus, StudiesAnswer, StudyItem } from "../core/types";
import { beginWith, selected } from "../core/worklist";
import { Choice, Field, labelName, Loading, Trouble } from "../parts/ui";
import { DeletionDialog } from "../parts/deletion";
import { ExportDialog } from "../parts/export";
import { UploadButton } from "../parts/upload";
import { useKeys, useLoad } from "../parts/use";
import { StudyTable } from "./worklisttable";

const STATUSES: readonly FilmStatus[] = ["queued", "reading", "read", "refused", "error"];
const PAGE = 50;
const EMPTY: StudyQuery = { sort: "newest", status: "", q: "", label: "", reviewed: "", from: "", to: "" };
let kept: StudyQuery = EMPTY;

export function WorklistPage() {
  const [query, setQuery] = useState<StudyQuery>(kept);
  const [cursors, setCursors] = useState<readonly string[]>([]);
  const [ticked, setTicked] = useState<ReadonlySet<string> | null>(null);
  const [taking, setTaking] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const cursor = cursors.at(-1) ?? null;
  const page = useLoad(() => api.studies({ ...query, ...(me.value?.blind && { label: "" }), limit: PAGE, cursor }), [
    JSON.stringify(query), cursor, me.value?.blind,
  ]);
  useReloads(page.reload);

  const change = (changes: StudyQuery) => {
    kept = { ...kept, ...changes }; // not of `query`: a search that was waiting may be older
    setQuery(kept);
    setCursors([]);
  };
  const items = page.value?.items ?? [];
  const order = useRef<readonly (string | null)[]>([]);
  useLayoutEffect(() => {
    // before the rows are painted: a key pressed at their sight must find them
    if (!page.value) return;
    order.current = page.value.items.map((item) => item.film_id);
    if (!order.current.includes(selected.value)) selected.value = order.current[0] ?? null;
  }, [page.value]);

  const move = (step: number) => {
    const place = Math.min(Math.max(order.current.indexOf(selected.value) + step, 0), items.length - 1);
    selected.value = order.current[place] ?? null;
    document.querySelector(`[data-film="${selected.value}"]`)?.scrollIntoView({ block: "nearest" });
  };
  const begin = () => beginWith({ ...query, ...(me.value?.blind && { label: "" }) });
  const open = (rest = "") => {
    if (!selected.value) return;
    begin();
    go(`film/${selected.value}${rest}`);
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => open(),
    o: () => open(),
    h: () => open("?heatmap=1"),
    "/": () => search.current?.focus(),
  });

  return (
    <main class="page wide worklist" id="main" tabIndex={-1}>
      <h1 class="unseen">{t("nav.worklist")}</h1>
      <div class="filters" role="search">
        <Field label={t("worklist.search")}>
          <Search input={search} value={query.q ?? ""} change={(q) => change({ q })} />
        </Field>
        <Choice
          label={t("worklist.sort")}
          value={query.sort ?? "newest"}
          options={[["newest", t("sort.newest")], ["priority", t("sort.priority")]]}
          change={(sort) => change({ sort })}
        />
        {!me.value?.blind && <Choice
          label={t("worklist.finding")}
          value={query.label ?? ""}
          options={[
            ["", t("all")],
            ...(me.value?.bundle?.labels ?? []).map(
              ({ label }): [string, string] => [label, labelName(label)],
            ),
          ]}
          change={(label) => change({ label })}
        />}
        <Choice
          label={t("worklist.reviewed")}
          value={query.reviewed ?? ""}
          options={[["", t("all")], ["false", t("reviewed.no")], ["true", t("reviewed.yes")]]}
          change={(reviewed) => change({ reviewed })}
        />
        <Field label={t("worklist.from")}>
          <input type="date" value={query.from} onChange={(e) => change({ from: e.currentTarget.value })} />
        </Field>
        <Field label={t("worklist.to")}>
          <input type="date" value={query.to} onChange={(e) => change({ to: e.currentTarget.value })} />
        </Field>
        {may("administrator") && (
          <button aria-pressed={ticked !== null} onClick={() => setTicked(ticked ? null : new Set())}>
            {t("deletion.begin")}
          </button>
        )}
        <button onClick={() => setTaking(true)}>{t("export")}</button>
        <UploadButton />
      </div>
      {taking && <ExportDialog query={query} close={() => setTaking(false)} />}
      <GoOn />
      <StatusFilter page={page.value} chosen={query.status ?? ""} choose={(status) => change({ status })} />
      {page.error ? (
        <Trouble error={page.error} again={page.reload} />
      ) : !page.value ? (
        <Loading />
      ) : (
        <>
          {ticked && <Ticked items={items} ticked={ticked} done={() => setTicked(null)} />}
          <StudyTable
            items={items}
            filtered={isFiltered(query)}
            clear={() => change(EMPTY)}
            ticked={ticked}
            tick={(id) => setTicked(toggled(ticked, id))}
            open={begin}
          />
        </>
      )}
      {page.value && (
        <Pager
          page={page.value}
          first={cursors.length * PAGE}
          back={cursors.length ? () => setCursors(cursors.slice(0, -1)) : null}
          on={page.value.next ? () => setCursors([...cursors, page.value?.next ?? ""]) : null}
        />
      )}
    </main>
  );
}

/** Back to where this person was in reading films through. */
function GoOn() {
  const round = useLoad(() => api.round(), []).value;
  if (!round?.film_id || !round.place) return null;
  const { place, total, judged } = round;
  return (
    <p class="go-on">
      {t("round.was", { place, total, judged })} <a href={`#/film/${round.film_id}`}>{t("round.go-on")}</a>
    </p>
  );
}

const isFiltered = (query: StudyQuery): boolean =>
  Boolean(query.status || query.q || query.label || query.reviewed || query.from || query.to);

function toggled(ticked: ReadonlySet<string> | null, id: string): ReadonlySet<string> {
  const next = new Set(ticked);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** What can be done with the studies of this page that are ticked. */
function Ticked(props: { items: readonly StudyItem[]; ticked: ReadonlySet<string>; done: () => void }) {
  const [what, setWhat] = useState<AskDeletion | null>(null);
  const chosen = props.items.filter((item) => props.ticked.has(item.study_id));
  const [patient, ...others] = [...new Set(chosen.map((item) => item.patient.id))];
  return (
    <p class="actions ticked">
      <span role="status">{t("deletion.ticked", { count: chosen.length })}</span>
      <button
        class="danger"
        disabled={chosen.length === 0}
        onClick={() => setWhat({ study_ids: chosen.map((item) => item.study_id) })}
      >
        {t("deletion.chosen")}
      </button>
      {patient && others.length === 0 && (
        <button class="danger" onClick={() => setWhat({ patient_id: patient })}>
          {t("deletion.erase")}
        </button>
      )}
      <a href="#/trash">{t("trash.open")}</a>
      {what && <DeletionDialog what={what} close={() => setWhat(null)} done={props.done} />}
    </p>
  );
}

/** Events come in bursts; the list is fetched at most twice a second. */
function useReloads(reload: () => void) {
  useLayoutEffect(() => {
    let timer = 0;
    const stop = listen(() => {
      timer ||= window.setTimeout(() => {
        timer = 0;
        reload();
      }, 500);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [reload]);
}

/** A search that waits until typing pauses; what is typed stays, whatever is drawn anew meanwhile. */
function Search(props: {
  input: { current: HTMLInputElement | null };
  value: string;
  change: (value: string) => void;
}) {
  const [typed, setTyped] = useState(props.value);
  const asked = useRef(props.value);
  const timer = useRef(0);
  useLayoutEffect(() => {
    if (props.value === asked.current) return;
    clearTimeout(timer.current); // another has cleared it
    setTyped((asked.current = props.value));
  }, [props.value]);
  const changed = (value: string) => {
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => props.change((asked.current = value.trim())), 250);
  };
  return (
    <input
      ref={props.input}
      type="search"
      value={typed}
      placeholder={t("worklist.search.what")}
      onInput={(event) => changed(event.currentTarget.value)}
    />
  );
}

function StatusFilter(props: {
  page: StudiesAnswer | null;
  chosen: string;
  choose: (status: string) => void;
}) {
  const counts: Partial<Record<FilmStatus, number>> = props.page?.counts ?? {};
  const all = STATUSES.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
  const chips: [string, string, number][] = [
    ["", t("all"), all],
    ...STATUSES.map((each): [string, string, number] => [each, t(`status.${each}`), counts[each] ?? 0]),
  ];
  return (
    <div class="chips" role="group" aria-label={t("worklist.status")}>
      {chips.map(([status, text, count]) => (
        <button
          key={status}
          class="chip"
          aria-pressed={status === props.chosen}
          onClick={() => props.choose(status)}
        >
          {text} <b>{count}</b>
        </button>
      ))}
    </div>
  );
}

function Pager(props: {
  page: StudiesAnswer;
  first: number;
  back: (() => void) | null;
  on: (() => void) | null;
}) {
  const last = props.first + props.page.items.length;
  return (
    <nav class="pager" aria-label={t("pager")}>
      <button disabled={!props.back} onClick={() => props.back?.()}>
        ← {t("pager.back")}
      </button>
      <span>
        {props.page.items.length ? `${props.first + 1}–${last}` : 0} / {props.page.total}
      </span>
      <button disabled={!props.on} onClick={() => props.on?.()}>
        {t("pager.on")} →
      </button>
    </nav>
  );
}
