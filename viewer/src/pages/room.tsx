/** Reading room: the film, what was said of it, and what the human says. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../core/api";
import { t } from "../core/i18n";
import { complain, go, may, me, route, say } from "../core/store";
import type { AskingList, Label, ListedPlace, RoundAnswer, StudyAnswer, StudyItem } from "../core/types";
import { comeTo, selected } from "../core/worklist";
import { Loading, StatusTag, Switch, Tabs, Trouble } from "../parts/ui";
import { useKeys } from "../parts/use";
import { useDesk, type Desk } from "../room/desk";
import { FilmFacts } from "../room/facts";
import type { FilmView } from "../room/filmview";
import { hidden, layersOf, marksOf, offered, show, shown } from "../room/layers";
import { OverlayPanel } from "../room/overlaypanel";
import { ReportPanel } from "../room/report";
import { AtAGlance, Result } from "../room/result";
import { calibrations } from "../room/ruler";
import { Stage } from "../room/stage";
import { isEarlier, Strips } from "../room/strips";
import { act, Toolbar, type ActionName } from "../room/toolbar";
import type { ToolName } from "../room/tools";
import { askAhead, useBeside, useFilm, useHeat } from "../room/usefilm";
import { chooseByKey, isBegun, Question, saveByKey, shownAfter, undo, Verdicts } from "../room/verdict";
import { Change } from "../room/where";

type Tab = "reading" | "verdicts" | "report" | "facts";

export function RoomPage() {
  const { path, query } = route.value;
  const filmId = path[1] ?? "";
  useEffect(() => () => void import("../room/filmview").then(({ FilmView: View }) => View.dropAhead()), []);
  // a new film is a new room: no measurement, verdict or mark of the last one can stay behind
  return <Room key={`${filmId} ${query.get("list") ?? ""}`} filmId={filmId} beside={query.get("with")} ask={query} />;
}

function Room({ filmId, beside, ask }: { filmId: string; beside: string | null; ask: URLSearchParams }) {
  const data = useFilm(filmId);
  const other = useBeside(beside);
  const [tool, setTool] = useState<ToolName>("window");
  const [wanted, setTab] = useState<Tab>("reading");
  const [writing, setWriting] = useState(false);
  const [label, setLabel] = useState("");
  const [view, setView] = useState<FilmView | null>(null);
  const [second, setSecond] = useState<FilmView | null>(null);
  const [linked, setLinked] = useState(true);
  const tab = data.blind && wanted !== "facts" ? "verdicts" : wanted; // the others would tell
  const heat = useHeat(data.overlays, label);
  const marks = useMemo(() => marksOf(data.blind ? [] : data.verdicts), [data.verdicts, data.blind]);
  const layers = useMemo(
    () => layersOf(data.overlays, heat, marks),
    [data.overlays, heat, marks, shown.value, hidden.value],
  );
  const besides = useMemo(() => layersOf(other.overlays, null, []), [other.overlays, shown.value, hidden.value]);
  const desk = useDesk(filmId, view, data.film ? data.blind : null);
  const listId = ask.get("list");
  const { round, step, renew } = useRound(filmId, desk, listId);
  // the list that is read through first: another one may ask the same
  const lists = useMemo(
    () => [...(data.film?.lists ?? [])].sort((one, two) => +(two.list_id === listId) - +(one.list_id === listId)),
    [data.film, listId],
  );
  const labels = useMemo(() => askedOf(data, lists, listId), [data.answer, data.film, data.blind, lists, listId]);
  useEffect(() => {
    // once this film is drawn, and not before
    const after = view && round?.after;
    if (!after) return;
    void askAhead(after);
    if (after !== beside) void import("../room/filmview").then(({ FilmView: View }) => View.ahead(after, view));
  }, [view, round?.after]);
  useLinked(view, second, linked && beside !== null);
  useImageOfReading(filmId, data.film ? (data.film.reading_id ?? "") : null);

  useEffect(() => {
    selected.value = filmId;
    api.opened(filmId).catch(() => undefined); // what cannot be shown says so where it is fetched
    if (ask.get("heatmap")) show("heatmap", { on: true });
  }, [filmId]);

  const compare = (which: string | null) => go(filmAt(filmId, { list: listId, beside: which }));
  const each = (action: ActionName) => {
    if (view) act(view, action);
    if (second && action !== "screen") act(second, action);
  };
  const work = useRef<HTMLDivElement>(null);
  const open = (chosen: Tab) => {
    setTab(chosen);
    work.current?.scrollIntoView({ block: "nearest" }); // it may lie below the edge of the window
  };
  const saved = async (goesOn: boolean) => {
    if (goesOn && (await step(1, true))) return;
    renew();
    await data.renew();
  };
  const takeBack = async () => {
    const film = await undo(filmId, desk);
    if (film === null) return;
    if (film !== filmId) return go(filmAt(film, { list: listId }));
    data.reload();
    renew();
  };
  const taking = useTaking(view, labels.length > 0, data.blind);
  useRoomKeys({
    view, each, setTool,
    taking: taking && !writing, // a number that is meant for the report is no verdict
    step: (by) => void step(by),
    choose: (place) => chooseByKey(filmId, place),
    undo: () => void takeBack(),
    write: () => {
      if (data.blind || !may("reviewer")) return;
      open("report");
      setWriting(true);
    },
  });

  const again = async (force: boolean) => {
    try {
      await api.readAgain(filmId, force);
      say("good", t("reading.queued"));
      data.reload();
    } catch (error) {
      complain(error);
    }
  };

  if (data.error) {
    return (
      <main class="page" id="main" tabIndex={-1}>
        <h1>{t("page.not-found")}</h1>
        <Trouble error={data.error} again={data.reload} />
      </main>
    );
  }
  const { study } = data;
  const name = data.film?.name ?? "";
  const identity = study ? identityOf(study, data.film?.view ?? study.view, name) : [name];
  const prior = study?.prior.find((item) => item.film_id === beside);
  const here = { answer: data.answer, when: study?.study_date ?? t("change.this") };
  const there = { answer: other.answer, when: prior?.study_date ?? t("change.other") };
  const waits = !data.overlays && (!data.answer || data.answer.reading?.status === "read");
  return (
    <main class="room" id="main" tabIndex={-1}>
      <h1 class="unseen">{t("room.title", { name: identity.join(", ") })}</h1>
      <aside class="left" aria-label={t("tools")} tabIndex={0}>
        <Toolbar view={view} tool={tool} choose={setTool} act={each} />
        {!data.blind && (
          <OverlayPanel
            offered={waits ? null : offered(data.overlays, marks)}
            heat={heat}
            labels={data.overlays?.heatmaps.map((one) => one.label) ?? []}
            label={label || (data.overlays?.heatmaps[0]?.label ?? "")}
            choose={setLabel}
          />
        )}
        {beside && (
          <section class="compare">
            <Switch label={t("compare.linked")} on={linked} change={setLinked} />
            <button onClick={() => compare(null)}>{t("compare.close")}</button>
          </section>
        )}
      </aside>
      <div class={beside ? "stages two-stages" : "stages"}>
        {data.film && (
          <Stage
            key={`${filmId}-${data.film.reading_id ?? ""}-${calibrations.value}`}
            filmId={filmId}
            title={identity.join(", ")}
            identity={identity}
            assume={!data.answer?.reading?.refusal}
            tool={tool}
            layers={layers}
            heat={shown.value.heatmap.on ? heat : null}
            ready={setView}
          />
        )}
        {beside && (
          <Stage
            key={`${beside}-${calibrations.value}`}
            filmId={beside}
            title={besideOf(study, beside).join(", ")}
            identity={besideOf(study, beside)}
            assume={!other.answer?.reading?.refusal}
            tool={tool}
            layers={besides}
            heat={null}
            ready={setSecond}
          />
        )}
      </div>
      <aside class="right" aria-label={t("room.result")} tabIndex={0}>
        <header class="film-head">
          <Round round={round} step={(by) => void step(by)} />
          {data.film && <StatusTag status={data.film.status} />}
        </header>
        {data.blind ? (
          <div class="headline blind">
            <h2>{t("blind.first")}</h2>
            <p>{t(`blind.shown.${shownAfter(lists, labels)}`)}</p>
          </div>
        ) : data.film ? (
          <AtAGlance answer={data.answer} />
        ) : (
          <Loading />
        )}
        <Question
          filmId={filmId}
          labels={labels}
          blind={data.blind}
          verdicts={data.verdicts}
          desk={desk}
          lists={lists}
          taking={taking}
          saved={saved}
          undo={() => void takeBack()}
        />
        <Strips study={study} filmId={filmId} beside={beside} compare={compare} />
        <Tabs<Tab>
          label={t("room.work")}
          tabs={[
            ...(data.blind ? [] : [["reading", t("room.reading")] as const, ["report", t("report")] as const]),
            ["verdicts", t("verdicts")],
            ["facts", t("facts")],
          ]}
          chosen={tab}
          choose={open}
        />
        <div ref={work} id={`panel-${tab}`} role="tabpanel" aria-labelledby={`tab-${tab}`} class="panel">
          {tab === "reading" && (
            <>
              {prior && study && other.answer && data.answer && (
                isEarlier(prior, study)
                  ? <Change earlier={there} later={here} />
                  : <Change earlier={here} later={there} />
              )}
              {data.film && <Result answer={data.answer} again={(force) => void again(force)} />}
            </>
          )}
          {tab === "verdicts" && (
            <Verdicts filmId={filmId} labels={labels} verdicts={data.verdicts} blind={data.blind} />
          )}
          {tab === "report" && (
            <ReportPanel
              filmId={filmId}
              archive={data.film?.status === "read" && !!data.film.format?.startsWith("DICOM")}
              saved={data.reload}
              writing={writing}
              begun={() => setWriting(false)}
            />
          )}
          {tab === "facts" && <FilmFacts filmId={filmId} film={data.film} answer={data.answer} />}
        </div>
      </aside>
    </main>
  );
}

/** The findings that are asked of a film: those of its lists, or of its reading; without, of the model. */
function askedOf(
  { answer, film, blind }: ReturnType<typeof useFilm>, lists: readonly AskingList[], listId: string | null,
): readonly Label[] {
  const owed = blind ? (film?.blind_owed ?? []) : [];
  if (owed.length > 0) return owed;
  const [first] = lists;
  // blind or not: what was answered can be answered anew
  if (first && first.list_id === listId) return first.findings;
  const listed = lists.flatMap(({ findings }) => findings);
  if (blind) return [...new Set(listed)];
  const found = answer?.reading?.findings.map(({ label }) => label) ?? [];
  if (found.length > 0 || !film || (film.status === "read" && !answer)) return [...new Set([...found, ...listed])];
  return me.value?.bundle?.labels.map(({ label }) => label) ?? [];
}

/** Patient, study, file: what stands on the film. */
function identityOf(study: StudyAnswer | StudyItem, view: string | null, name: string | null): string[] {
  const { id, sex, age_years: age, name: whose } = study.patient;
  const years = age === null ? "" : t("years", { count: Math.floor(age) });
  return [
    whose ?? "",
    [id ?? t("patient.unknown"), sex, years].filter(Boolean).join(" · "),
    [study.study_date, view, study.accession && t("patient.accession", { number: study.accession })].filter(Boolean).join(" · "),
    name ?? "",
  ].filter(Boolean);
}

function besideOf(study: StudyAnswer | null, filmId: string): string[] {
  const prior = study?.prior.find((each) => each.film_id === filmId);
  if (prior) return identityOf(prior, prior.view, prior.name);
  const same = study?.films.find((each) => each.film_id === filmId);
  return study && same ? identityOf(study, same.view, same.name) : [];
}

const GLANCE_MS = 300;

/** Whether keys answer: the film is drawn, the question is known, and both for a moment. */
function useTaking(view: FilmView | null, asked: boolean, blind: boolean): boolean {
  // what bounces or was meant for the film before comes within that moment
  const scene = useMemo(() => (view && asked ? {} : null), [view, asked, blind]);
  const [seen, setSeen] = useState<object | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setSeen(scene), GLANCE_MS);
    return () => clearTimeout(timer);
  }, [scene]);
  return scene !== null && seen === scene;
}

/** Where this person is among the films that are read through. */
function useRound(filmId: string, desk: Desk, listId: string | null) {
  const asked = useRef<Promise<Around | null>>(Promise.resolve(null));
  const [round, setRound] = useState<Around | null>(null);
  const renew = () => {
    const come: Promise<Around> = listId ? api.listed(listId, filmId) : comeTo(filmId);
    const found = come.catch((error: unknown) => {
      complain(error);
      return null;
    });
    asked.current = found;
    void found.then((answer) => asked.current === found && setRound(answer));
  };
  useLayoutEffect(() => {
    renew();
    return () => (asked.current = Promise.resolve(null)); // nobody waits for it any more
  }, [filmId]);
  /** To the film before or after, unless there is none, or this one is not to be left as it is. */
  const step = async (by: 1 | -1, done = false): Promise<boolean> => {
    const found = await asked.current;
    const next = by > 0 ? found?.after : found?.before;
    if (!next) return false;
    if (!done && isBegun(filmId, desk.latest()) && !confirm(t("round.leave"))) return false;
    go(filmAt(next, { list: listId }));
    return true;
  };
  return { round, step, renew };
}

/** The address of a film: in a reading list, with another film beside it. */
function filmAt(film: string, { list, beside = null }: { list: string | null; beside?: string | null }): string {
  const query = new URLSearchParams({ ...(list && { list }), ...(beside && { with: beside }) }).toString();
  return `film/${film}${query && `?${query}`}`;
}

/** Where a film stands among those that are read through, and what comes before and after it. */
type Around = RoundAnswer | ListedPlace;

function Round({ round, step }: { round: Around | null; step: (by: 1 | -1) => void }) {
  const list = round && "list_id" in round ? round : null;
  const { place = null, total = 0, judged = 0, before = null, after = null, unjudged = null } = round ?? {};
  return (
    <nav class="round" aria-label={t("room.neighbors")}>
      <button disabled={!before} title={`${t("pager.back")} (k)`} aria-label={t("pager.back")} onClick={() => step(-1)}>
        ←
      </button>
      <strong title={[list?.name, t("round.judged", { judged })].filter(Boolean).join(": ")}>
        {round && t("round.place", { place: place ?? "–", total })}
      </strong>
      {list && !list.open && <span class="tag">{t("lists.ended")}</span>}
      <button disabled={!after} title={`${t("pager.on")} (j)`} aria-label={t("pager.on")} onClick={() => step(1)}>
        →
      </button>
      {round && !after && (
        <span role="status">
          {t("round.end", { judged, total })}{" "}
          {unjudged && unjudged !== round.film_id && <a href={`#/${filmAt(unjudged, { list: list?.list_id ?? null })}`}>{t("round.unjudged")}</a>}
        </span>
      )}
    </nav>
  );
}

/** Once read, a film may be shown put right: forget the picture that was fetched before. */
function useImageOfReading(filmId: string, readingId: string | null): void {
  const seen = useRef(readingId);
  if (seen.current !== readingId) {
    if (seen.current !== null) void import("../room/filmview").then(({ FilmView: View }) => View.forget(filmId));
    seen.current = readingId;
  }
}

/** What one view shows, the other one follows. */
function useLinked(first: FilmView | null, second: FilmView | null, on: boolean): void {
  useLayoutEffect(() => {
    if (!first || !second || !on) return;
    let following = false;
    const link = (from: FilmView, to: FilmView) =>
      from.onChange(() => {
        if (following) return;
        following = true;
        to.follow(from.camera());
        following = false;
      });
    const stops = [link(first, second), link(second, first)];
    return () => stops.forEach((stop) => stop());
  }, [first, second, on]);
}

function useRoomKeys(room: {
  view: FilmView | null;
  each: (action: ActionName) => void;
  setTool: (tool: ToolName) => void;
  taking: boolean;
  step: (by: 1 | -1) => void;
  choose: (place: number) => void;
  undo: () => void;
  write: () => void;
}): void {
  const { view, each, setTool, step, choose } = room;
  const preset = useRef(0);
  /** A verdict is one press; a key that is held says nothing of the films that come. */
  const once = (action: () => void) => (event: KeyboardEvent) => {
    if (room.taking && !event.repeat) action();
  };
  const window = (center: number, width: number) => {
    if (!view) return;
    const state = view.state();
    const range = view.film.max - view.film.min;
    view.setWindow(state.center + center * 0.02 * range, Math.max(1, state.width + width * 0.02 * range));
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    u: (event) => {
      if (!event.repeat) room.undo();
    },
    t: () => room.write(),
    h: () => show("heatmap", { on: !shown.value.heatmap.on || hidden.value }),
    o: () => (hidden.value = !hidden.value),
    "1": once(() => choose(1)),
    "2": once(() => choose(2)),
    "3": once(() => choose(3)),
    Enter: once(() => (saveByKey.value += 1)),
    w: () => setTool("window"),
    p: () => setTool("pan"),
    z: () => setTool("zoom"),
    m: () => setTool("magnify"),
    l: () => setTool("length"),
    c: () => may("reviewer") && setTool("ruler"),
    e: () => setTool("region"),
    b: () => setTool("mark"),
    i: () => each("invert"),
    r: () => each("rotate"),
    "Shift+r": () => each("rotate-back"),
    x: () => each("flip-x"),
    y: () => each("flip-y"),
    "0": () => each("fit"),
    f: () => each("one"),
    Backspace: () => each("reset"),
    Delete: () => each("clear"),
    s: () => each("screen"),
    "+": () => view?.zoomBy(1.25),
    "=": () => view?.zoomBy(1.25),
    "Shift++": () => view?.zoomBy(1.25),
    "-": () => view?.zoomBy(0.8),
    ArrowLeft: () => view?.panBy(40, 0),
    ArrowRight: () => view?.panBy(-40, 0),
    ArrowUp: () => view?.panBy(0, 40),
    ArrowDown: () => view?.panBy(0, -40),
    "Shift+ArrowLeft": () => window(0, -1),
    "Shift+ArrowRight": () => window(0, 1),
    "Shift+ArrowUp": () => window(1, 0),
    "Shift+ArrowDown": () => window(-1, 0),
    a: () => {
      const presets = view?.film.presets ?? [];
      preset.current = (preset.current + 1) % Math.max(presets.length, 1);
      const next = presets[preset.current];
      if (next) view?.setWindow(next.center, next.width);
    },
  });
}
