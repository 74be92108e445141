/** Reading room: the film, what was said of it, and what the human says. */
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../core/api";
import { t } from "../core/i18n";
import { complain, go, may, route, say } from "../core/store";
import type { Label, ListAnswer } from "../core/types";
import { neighbor, order, remember, selected } from "../core/worklist";
import { Loading, StatusTag, Switch, Tabs, Trouble } from "../parts/ui";
import { useKeys } from "../parts/use";
import { FilmFacts } from "../room/facts";
import type { FilmView } from "../room/filmview";
import { useDesk } from "../room/desk";
import { hidden, layersOf, marksOf, offered, show, shown } from "../room/layers";
import { OverlayPanel } from "../room/overlaypanel";
import { ReportPanel } from "../room/report";
import { Result } from "../room/result";
import { calibrations } from "../room/ruler";
import { Stage } from "../room/stage";
import { Strips } from "../room/strips";
import { act, Toolbar, type ActionName } from "../room/toolbar";
import type { ToolName } from "../room/tools";
import { useFilm, useHeat } from "../room/usefilm";
import { chooseByKey, saveByKey, VerdictPanel } from "../room/verdict";

type Tab = "verdict" | "report" | "facts";

export function RoomPage() {
  const { path, query } = route.value;
  const filmId = path[1] ?? "";
  // a new film is a new room: no measurement, verdict or mark of the last one can stay behind
  return <Room key={filmId} filmId={filmId} beside={query.get("with")} ask={query} />;
}

function Room({ filmId, beside, ask }: { filmId: string; beside: string | null; ask: URLSearchParams }) {
  const data = useFilm(filmId);
  const [tool, setTool] = useState<ToolName>("window");
  const [tab, setTab] = useState<Tab>("verdict");
  const [label, setLabel] = useState("");
  const [view, setView] = useState<FilmView | null>(null);
  const [second, setSecond] = useState<FilmView | null>(null);
  const [linked, setLinked] = useState(true);
  const heat = useHeat(data.overlays, label);
  const marks = useMemo(() => marksOf(data.blind ? [] : data.verdicts), [data.verdicts, data.blind]);
  const layers = useMemo(
    () => layersOf(data.overlays, heat, marks),
    [data.overlays, heat, marks, shown.value, hidden.value],
  );
  const listId = ask.get("list");
  const [list, setList] = useState<ListAnswer | null>(null);
  const labels = useMemo(
    () => (listId ? (list?.findings ?? []) : labelsOf(data.answer)), [data.answer, listId, list],
  );
  const desk = useDesk(filmId, view, data.film ? data.blind : null);
  useLinked(view, second, linked && beside !== null);
  useImageOfReading(filmId, data.film ? (data.film.reading_id ?? "") : null);

  useEffect(() => {
    // opened by its address: the newest films are the ones beside it
    if (listId) {
      api.list(listId).then((found) => {
        order.value = found.order.map((each) => each.film_id);
        setList(found);
      }, complain);
    } else if (order.value.length === 0) {
      void api.studies({ limit: 200 }).then((page) => remember(page.items), complain);
    }
    selected.value = filmId;
    api.opened(filmId).catch(() => undefined); // what cannot be shown says so where it is fetched
    if (ask.get("heatmap")) show("heatmap", { on: true });
    const verdict = Number(ask.get("verdict"));
    if (verdict) chooseByKey(filmId, verdict);
  }, [filmId]);

  const compare = (other: string | null) => go(`film/${filmId}${other ? `?with=${other}` : ""}`);
  const each = (action: ActionName) => {
    if (view) act(view, action);
    if (second && action !== "screen") act(second, action);
  };
  const work = useRef<HTMLDivElement>(null);
  const open = (chosen: Tab) => {
    setTab(chosen);
    work.current?.scrollIntoView({ block: "start" }); // it may lie below the edge of the window
  };
  const choose = (place: number) => {
    open("verdict");
    chooseByKey(filmId, place);
  };
  const saved = () => {
    const next = neighbor(filmId, 1);
    // of a list one goes on at once, unless there is an answer to see first
    if (list && next && !(data.blind && list.reveal)) go(filmAt(next));
    else data.reload();
  };
  useRoomKeys({ filmId, view, each, setTool, choose });

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
  const name = data.film?.name ?? "";
  return (
    <main class="room" id="main" tabIndex={-1}>
      <h1 class="unseen">{t("room.title", { name })}</h1>
      <aside class="left" aria-label={t("tools")} tabIndex={0}>
        <Toolbar view={view} tool={tool} choose={setTool} act={each} />
        {!data.blind && (
          <OverlayPanel
            offered={offered(data.overlays, marks)}
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
      <div class="middle">
        <div class={beside ? "stages two-stages" : "stages"}>
          {data.film && (
            <Stage
              key={`${filmId}-${data.film.reading_id ?? ""}-${calibrations.value}`}
              filmId={filmId}
              title={name}
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
              title={nameOf(data, beside)}
              tool={tool}
              layers={NONE}
              heat={null}
              ready={setSecond}
            />
          )}
        </div>
        <Strips
          study={data.study}
          filmId={filmId}
          similar={data.answer?.reading?.details?.similar ?? []}
          pictures={data.answer?.similar_pictures ?? []}
          beside={beside}
          compare={compare}
        />
      </div>
      <aside class="right" aria-label={t("room.result")} tabIndex={0}>
        <header class="film-head">
          <div>
            <strong>{name}</strong>
            {data.film && <StatusTag status={data.film.status} />}
          </div>
          <Neighbors filmId={filmId} />
        </header>
        {data.blind ? (
          <div class="result">
            <div class="headline blind">
              <h2>{t("blind.first")}</h2>
              <p>{t("blind.explained")}</p>
            </div>
          </div>
        ) : data.film ? (
          <Result answer={data.answer} again={(force) => void again(force)} />
        ) : (
          <Loading />
        )}
        <Tabs<Tab>
          label={t("room.work")}
          tabs={[
            ["verdict", t("verdict")],
            ...(data.blind ? [] : [["report", t("report")] as const]),
            ["facts", t("facts")],
          ]}
          chosen={tab}
          choose={open}
        />
        <div ref={work} id={`panel-${tab}`} role="tabpanel" aria-labelledby={`tab-${tab}`} class="panel">
          {tab === "verdict" &&
            (labels.length || data.blind ? (
              <VerdictPanel
                filmId={filmId}
                labels={data.blind ? (data.film?.blind_owed ?? []) : labels}
                blind={data.blind}
                verdicts={data.verdicts}
                desk={desk}
                list={list}
                saved={saved}
              />
            ) : (
              <p class="soft">{t("verdict.nothing")}</p>
            ))}
          {tab === "report" && (
            <ReportPanel
              filmId={filmId}
              archive={data.film?.status === "read" && !!data.film.format?.startsWith("DICOM")}
              saved={data.reload}
            />
          )}
          {tab === "facts" && <FilmFacts filmId={filmId} film={data.film} answer={data.answer} />}
        </div>
      </aside>
    </main>
  );
}

const NONE: readonly never[] = [];
const labelsOf = (answer: ReturnType<typeof useFilm>["answer"]): Label[] =>
  answer?.reading?.findings.map(({ label }) => label) ?? [];

function nameOf({ study }: ReturnType<typeof useFilm>, filmId: string): string {
  const prior = study?.prior.find((each) => each.film_id === filmId);
  if (prior) return [prior.study_date, prior.name].filter(Boolean).join(" · ");
  return study?.films.find((each) => each.film_id === filmId)?.name ?? "";
}

/** The address of a film, within the reading list that is read through. */
function filmAt(film: string): string {
  const list = route.value.query.get("list");
  return `film/${film}${list ? `?list=${list}` : ""}`;
}

function Neighbors({ filmId }: { filmId: string }) {
  const [back, on] = [neighbor(filmId, -1), neighbor(filmId, 1)];
  return (
    <nav aria-label={t("room.neighbors")}>
      <button disabled={!back} title={`${t("pager.back")} (k)`} aria-label={t("pager.back")} onClick={() => back && go(filmAt(back))}>
        ←
      </button>
      <button disabled={!on} title={`${t("pager.on")} (j)`} aria-label={t("pager.on")} onClick={() => on && go(filmAt(on))}>
        →
      </button>
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
  filmId: string;
  view: FilmView | null;
  each: (action: ActionName) => void;
  setTool: (tool: ToolName) => void;
  choose: (place: number) => void;
}): void {
  const { filmId, view, each, setTool, choose } = room;
  const preset = useRef(0);
  const step = useCallback(
    (by: 1 | -1) => {
      const next = neighbor(filmId, by);
      if (next) go(filmAt(next));
    },
    [filmId],
  );
  const window = (center: number, width: number) => {
    if (!view) return;
    const state = view.state();
    const range = view.film.max - view.film.min;
    view.setWindow(state.center + center * 0.02 * range, Math.max(1, state.width + width * 0.02 * range));
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    h: () => show("heatmap", { on: !shown.value.heatmap.on || hidden.value }),
    o: () => (hidden.value = !hidden.value),
    "1": () => choose(1),
    "2": () => choose(2),
    "3": () => choose(3),
    Enter: () => (saveByKey.value += 1),
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
