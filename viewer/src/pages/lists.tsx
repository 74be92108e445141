/** Reading lists: those that one reads; for administrators set-up, progress and analysis, too. */
import { useState } from "preact/hooks";
import { api } from "../core/api";
import { date, number, t } from "../core/i18n";
import { complain, go, may, me, route, say } from "../core/store";
import type { AnalysisAnswer, ArmFigures, Label, ListAnswer, ListItem, NewList, PooledFigures, ReaderFigures } from "../core/types";
import { Roc, type Curve } from "../parts/charts";
import { Choice, Field, Interval, labelName, Loading, Page, Switch, Trouble } from "../parts/ui";
import { useLoad } from "../parts/use";

export function ListsPage() {
  const id = route.value.path[1];
  if (id && may("administrator")) return <OneList key={id} id={id} />;
  return <AllLists />;
}

function AllLists() {
  const found = useLoad(() => api.lists(), []);
  return (
    <Page title="nav.lists" intro="lists.intro">
      {found.error ? (
        <Trouble error={found.error} again={found.reload} />
      ) : !found.value ? (
        <Loading />
      ) : found.value.length === 0 ? (
        <p class="nothing">{t("lists.none")}</p>
      ) : (
        <section class="card">
          <table class="cards">
            <thead>
              <tr>
                <th scope="col">{t("lists.name")}</th>
                <th scope="col">{t("lists.done")}</th>
                <th scope="col">{t("lists.deadline")}</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {found.value.map((list) => (
                <Row key={list.list_id} list={list} />
              ))}
            </tbody>
          </table>
        </section>
      )}
      {may("administrator") && <SetUp made={found.reload} />}
    </Page>
  );
}

function Row({ list }: { list: ListItem }) {
  return (
    <tr>
      <th scope="row">
        {may("administrator") ? <a href={`#/lists/${list.list_id}`}>{list.name}</a> : list.name}
        {list.blind && <span class="tag blind">{t("blind")}</span>}{" "}
        {!list.open && <span class="tag">{t("lists.ended")}</span>}
        <br />
        <small class="soft">{list.findings.map(labelName).join(", ")}</small>
      </th>
      <td data-name={t("lists.done")}>
        {list.reads ? t("lists.of", { done: list.done, films: list.films }) : t("lists.films", { films: list.films })}
        {list.seen > 0 && <small class="soft"> {t("lists.seen", { seen: list.seen })}</small>}
      </td>
      <td data-name={t("lists.deadline")}>{list.deadline ? date(list.deadline) : "–"}</td>
      <td class="actions">
        {list.reads && list.open && list.place < list.films && (
          <button class="primary" onClick={() => void read(list.list_id)}>
            {t(list.done ? "lists.go-on" : "lists.begin")}
          </button>
        )}
      </td>
    </tr>
  );
}

/** Open the first film that is not done. */
async function read(id: string) {
  try {
    const list = await api.list(id);
    const next = list.order[list.place];
    if (next) go(`film/${next.film_id}?list=${id}`);
  } catch (error) {
    complain(error);
  }
}

type Draft = Required<Omit<NewList, "film_ids" | "studies" | "deadline">>;

/** A list to come: the films of a time, of what the worklist holds. */
function SetUp({ made }: { made: () => void }) {
  const labels = me.value?.bundle?.labels.map(({ label }) => label) ?? [];
  const people = useLoad(() => api.users(), []);
  const [list, setList] = useState<Draft>({
    name: "", findings: labels.slice(0, 1), readers: [], seed: 1, blind: true, reveal: true, confidence: true,
  });
  const [films, setFilms] = useState({ from: "", to: "", q: "" });
  const [deadline, setDeadline] = useState("");
  const change = (changes: Partial<Draft>) => setList({ ...list, ...changes });
  const count = useLoad(() => api.studies({ ...films, status: "", limit: 1 }), [JSON.stringify(films)]);
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      const until = deadline ? `${deadline}T23:59:59` : null;
      const answer = await api.addList({ ...list, deadline: until }, films);
      say("good", t("lists.made", { films: answer.films }));
      change({ name: "" });
      made();
    } catch (error) {
      complain(error);
    }
  };
  const toggled = <T,>(all: readonly T[], one: T, on: boolean): T[] =>
    on ? [...all, one] : all.filter((each) => each !== one);
  return (
    <section class="card">
      <h2>{t("lists.new")}</h2>
      <form class="set-up" onSubmit={(event) => void submit(event)}>
        <Field label={t("lists.name")}>
          <input required maxLength={200} value={list.name} onInput={(e) => change({ name: e.currentTarget.value })} />
        </Field>
        <fieldset class="filters">
          <legend>{t("lists.which")}</legend>
          <Field label={t("worklist.from")}>
            <input type="date" value={films.from} onChange={(e) => setFilms({ ...films, from: e.currentTarget.value })} />
          </Field>
          <Field label={t("worklist.to")}>
            <input type="date" value={films.to} onChange={(e) => setFilms({ ...films, to: e.currentTarget.value })} />
          </Field>
          <Field label={t("worklist.search")}>
            <input type="search" value={films.q} onChange={(e) => setFilms({ ...films, q: e.currentTarget.value.trim() })} />
          </Field>
          <span role="status">{t("lists.studies", { studies: count.value?.total ?? "…" })}</span>
        </fieldset>
        <fieldset>
          <legend>{t("lists.findings")}</legend>
          {labels.map((label: Label) => (
            <Switch
              key={label}
              label={labelName(label)}
              on={list.findings.includes(label)}
              change={(on) => change({ findings: toggled(list.findings, label, on) })}
            />
          ))}
        </fieldset>
        <fieldset>
          <legend>{t("lists.readers")}</legend>
          {people.value
            ?.filter(({ role, disabled }) => !disabled && (role === "reviewer" || role === "administrator"))
            .map((person) => (
              <Switch
                key={person.user_id}
                label={person.name}
                on={list.readers.includes(person.user_id)}
                change={(on) => change({ readers: toggled(list.readers, person.user_id, on) })}
              />
            ))}
          <p class="soft">{t("lists.readers.explained")}</p>
        </fieldset>
        <fieldset>
          <legend>{t("lists.how")}</legend>
          <Switch label={t("lists.blind")} on={list.blind} change={(blind) => change({ blind })} />
          <Switch
            label={t("lists.reveal")}
            on={list.blind && list.reveal}
            disabled={!list.blind}
            change={(reveal) => change({ reveal })}
          />
          <Switch label={t("lists.confidence")} on={list.confidence} change={(confidence) => change({ confidence })} />
          <Switch label={t("lists.random")} on={list.seed !== null} change={(on) => change({ seed: on ? 1 : null })} />
          {list.seed !== null && (
            <Field label={t("lists.seed")}>
              <input
                type="number"
                min={0}
                value={list.seed}
                onInput={(e) => change({ seed: Math.max(0, Math.round(e.currentTarget.valueAsNumber || 0)) })}
              />
            </Field>
          )}
          <Field label={t("lists.deadline")}>
            <input type="date" value={deadline} onChange={(e) => setDeadline(e.currentTarget.value)} />
          </Field>
        </fieldset>
        <button class="primary" disabled={list.findings.length === 0}>
          {t("lists.add")}
        </button>
      </form>
    </section>
  );
}

function OneList({ id }: { id: string }) {
  const found = useLoad(() => api.list(id), [id]);
  const list = found.value;
  const close = async (closed: boolean) => {
    try {
      found.set(await api.changeList(id, { closed }));
    } catch (error) {
      complain(error);
    }
  };
  const remove = async () => {
    try {
      await api.deleteList(id);
      go("lists");
    } catch (error) {
      complain(error);
    }
  };
  if (found.error) return <Page title="nav.lists"><Trouble error={found.error} again={found.reload} /></Page>;
  if (!list) return <Page title="nav.lists"><Loading /></Page>;
  const isOver = list.deadline !== null && Date.parse(list.deadline) <= Date.now();
  return (
    <main class="page" id="main" tabIndex={-1}>
      <p><a href="#/lists">← {t("nav.lists")}</a></p>
      <h1>{list.name}</h1>
      <p class="soft">{summary(list)}</p>
      <p class="actions">
        {list.reads && list.open && list.place < list.films && (
          <button class="primary" onClick={() => void read(id)}>{t(list.done ? "lists.go-on" : "lists.begin")}</button>
        )}
        <button onClick={() => void close(list.open)}>{t(list.open ? "lists.close" : isOver ? "lists.open.later" : "lists.open")}</button>
        {!list.begun && <button class="danger" onClick={() => void remove()}>{t("delete")}</button>}
      </p>
      <section class="card" tabIndex={0} aria-label={t("lists.progress")}>
        <h2>{t("lists.progress")}</h2>
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">{t("lists.reader")}</th>
              <th scope="col">{t("lists.done")}</th>
              <th scope="col">{t("lists.seen.column")}</th>
              <th scope="col">{t("lists.last")}</th>
            </tr>
          </thead>
          <tbody>
            {list.readers.map((reader) => (
              <tr key={reader.user_id}>
                <th scope="row">{reader.name}</th>
                <td data-name={t("lists.done")}>
                  <meter min={0} max={Math.max(reader.films, 1)} value={reader.done} aria-label={reader.name} />{" "}
                  {t("lists.of", { done: reader.done, films: reader.films })}
                </td>
                <td data-name={t("lists.seen.column")}>{reader.seen}</td>
                <td class="nowrap" data-name={t("lists.last")}>{date(reader.last_at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {list.begun && <Analysis list={list} />}
    </main>
  );
}

const summary = (list: ListAnswer): string =>
  [
    t("lists.films", { films: list.films }),
    list.findings.map(labelName).join(", "),
    ...(["blind", "confidence", "random"] as const).filter((name) => list[name]).map((name) => t(`lists.is.${name}`)),
    ...(list.blind && !list.reveal ? [t("lists.is.not-revealed")] : []),
    ...(list.deadline ? [`${t("lists.deadline")}: ${date(list.deadline)}`] : []),
    ...(list.open ? [] : [t("lists.ended")]),
  ].join(" · ");

const ARMS = ["unaided", "aided"] as const;

function Analysis({ list }: { list: ListAnswer }) {
  const [finding, setFinding] = useState<Label>(list.findings[0] ?? "covid-19");
  const found = useLoad(() => api.analysis(list.list_id, finding), [list.list_id, finding, list.open]);
  const of = found.value;
  return (
    <section>
      <h2>{t("analysis")}</h2>
      <p class="soft intro">{t("analysis.explained")}</p>
      <div class="filters">
        {list.findings.length > 1 && (
          <Choice
            label={t("worklist.finding")}
            value={finding}
            options={list.findings.map((each) => [each, labelName(each)] as const)}
            change={setFinding}
          />
        )}
        <a class="button" href={api.mrmcCsv(list.list_id, finding)} download="mrmc.csv">
          {t("analysis.mrmc")}
        </a>
      </div>
      {found.error ? <Trouble error={found.error} again={found.reload} /> : of ? <Figures of={of} /> : <Loading />}
    </section>
  );
}

function Figures({ of }: { of: AnalysisAnswer }) {
  const both = of.readers.some(({ unaided, aided }) => unaided && aided);
  return (
    <>
      <p>
        {t("analysis.films", { films: of.films, positives: of.positives, negatives: of.negatives })}
        {of.erased > 0 && ` ${t("analysis.erased", { films: of.erased })}`}
      </p>
      <div class="card" tabIndex={0} role="region" aria-label={t("analysis")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("lists.reader")}</th>
              <th scope="col">{t("sensitivity")}</th>
              <th scope="col">{t("specificity")}</th>
              <th scope="col">{t("analysis.auc")}</th>
              <th scope="col">{t("analysis.machine-kappa")}</th>
              <th scope="col">{t("analysis.seconds")}</th>
            </tr>
          </thead>
          <tbody>
            {of.readers.flatMap((reader) =>
              ARMS.map((arm) => {
                const figures = reader[arm];
                const name = both ? `${reader.name}, ${t(`analysis.${arm}`)}` : reader.name;
                const note = figures && figures.films < figures.asked ? t("lists.of", { done: figures.films, films: figures.asked }) : "";
                return figures && <Line key={reader.name + arm} name={name} note={note} of={figures} />;
              }),
            )}
            {ARMS.map((arm) => {
              const figures = of[arm];
              return figures && (
                <Line key={arm} name={`${t("analysis.together")}, ${t(`analysis.${arm}`)}`} note={wholeOf(figures)} of={figures} />
              );
            })}
            {of.difference && <Line name={t("analysis.difference")} note={wholeOf(of.difference)} of={of.difference} plain />}
            <Line name={t("analysis.machine")} of={of.machine} />
          </tbody>
        </table>
      </div>
      <div class="grid">
        <section class="card">
          <h3>{t("analysis.between")}</h3>
          <table>
            <tbody>
              {ARMS.map((arm) => {
                const figures = of[arm];
                return figures && (
                  <tr key={arm}>
                    <th scope="row">
                      {t("analysis.fleiss")}, {t(`analysis.${arm}`)}{" "}
                      <span class="tag">{t("analysis.called-by", { readers: figures.readers })}</span>
                    </th>
                    <td><Interval of={figures.fleiss} /></td>
                  </tr>
                );
              })}
              {of.pairs.map(({ names, arm, kappa }) => (
                <tr key={[arm, ...names].join()}>
                  <th scope="row">{names.join(" – ")}, {t(`analysis.${arm}`)}</th>
                  <td><Interval of={kappa} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
        <section class="card">
          <h3>{t("analysis.roc")}</h3>
          <Roc title={t("analysis.roc")} curves={curves(of)} />
          <p class="soft">{t("analysis.roc.lines")}</p>
        </section>
      </div>
    </>
  );
}

/** How many readers the pooled figures are of, and how many of them are done. */
const wholeOf = ({ readers, whole }: PooledFigures): string => t("analysis.whole", { readers, whole });

function Line(props: { name: string; note?: string; of: ReaderFigures | ArmFigures; plain?: boolean }) {
  const { name, note, of, plain = false } = props;
  const arm = "films" in of ? of : null;
  return (
    <tr>
      <th scope="row">
        {name}
        {note && <> <span class="tag">{note}</span></>}
      </th>
      <td><Interval of={of.sensitivity} share points={plain} /></td>
      <td><Interval of={of.specificity} share points={plain} /></td>
      <td><Interval of={of.auc} /></td>
      <td>{arm && <Interval of={arm.machine_kappa} />}</td>
      <td>{arm?.seconds == null ? "" : t("analysis.s", { seconds: number(arm.seconds, 1) })}</td>
    </tr>
  );
}

const curves = (of: AnalysisAnswer): Curve[] => [
  ...of.readers.flatMap((reader) =>
    ARMS.flatMap((arm): Curve[] => {
      const points = reader[arm]?.roc ?? [];
      return points.length ? [{ name: `${reader.name}, ${t(`analysis.${arm}`)}`, points, style: arm === "aided" ? "a" : "b" }] : [];
    }),
  ),
  ...(of.machine_roc.length ? [{ name: t("analysis.machine"), points: of.machine_roc, style: "c" as const }] : []),
];
