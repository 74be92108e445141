/** Stage: one film on the screen, with what is known of it in the corners. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { number, t } from "../core/i18n";
import { asApiError } from "../core/store";
import type { ApiError } from "../core/api";
import type { ImageAnswer } from "../core/types";
import { Loading, Trouble } from "../parts/ui";
import { edgesOf, type Edge } from "./edges";
import type { FilmView, ViewState } from "./filmview";
import { heatAt, type Heat } from "./layers";
import type { Affine, Layer } from "./overlay";
import type { ToolName } from "./tools";
import { lengthUnit } from "./units";

export interface StageProps {
  filmId: string;
  title: string;
  /** Whose film it is, and which: lines in the corner, the name of the file last. */
  identity: readonly string[];
  /** Right and left may be taken for what they are on a frontal film. */
  assume: boolean;
  tool: ToolName;
  layers: readonly Layer[];
  heat: Heat | null;
  ready: (view: FilmView | null) => void;
}

export function Stage({ filmId, title, identity, assume, tool, layers, heat, ready }: StageProps) {
  const host = useRef<HTMLDivElement>(null);
  const [view, setView] = useState<FilmView | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [round, setRound] = useState(0);

  // before the page is painted: a film that was drawn ahead is there at once
  useLayoutEffect(() => {
    let wanted = true;
    let opened: FilmView | null = null;
    setError(null);
    void (async () => {
      try {
        const { FilmView: View } = await import("./filmview");
        if (!wanted || !host.current) return;
        const found = await View.open(host.current, filmId);
        if (!wanted) return found.close();
        opened = found;
        setView(found);
        ready(found);
      } catch (problem) {
        if (wanted) setError(asApiError(problem));
      }
    })();
    return () => {
      wanted = false;
      ready(null);
      setView(null);
      opened?.close();
    };
  }, [filmId, round]);

  // before the next event: the mouse must have the tool that the toolbar shows
  useLayoutEffect(() => view?.show(layers), [view, layers]);
  useLayoutEffect(() => view?.use(tool), [view, tool]);

  return (
    <section class="stage" aria-label={title}>
      <div
        ref={host}
        class={`film tool-${tool}`}
        role="img"
        aria-label={t("film.picture", { name: title })}
        onContextMenu={(event) => event.preventDefault()}
      />
      {view ? (
        <Corners view={view} heat={heat} identity={identity} assume={assume} host={host.current} />
      ) : error ? (
        <Trouble error={error} again={() => setRound(round + 1)} />
      ) : (
        <Loading />
      )}
    </section>
  );
}

interface CornersProps {
  view: FilmView;
  heat: Heat | null;
  identity: readonly string[];
  assume: boolean;
  host: HTMLElement | null;
}

function Corners(props: CornersProps) {
  const { view, heat, host } = props;
  const [state, setState] = useState<ViewState>(view.state());
  const [under, setUnder] = useState("");
  useLayoutEffect(() => {
    let asked = 0;
    const forget = view.onChange(() => {
      asked ||= requestAnimationFrame(() => {
        asked = 0;
        setState(view.state());
      });
    });
    return () => {
      forget();
      cancelAnimationFrame(asked); // a film that was closed has no state
    };
  }, [view]);
  useEffect(() => {
    const moved = (event: PointerEvent) => {
      const frame = host?.getBoundingClientRect();
      if (!frame) return;
      const found = view.probe(event.clientX - frame.left, event.clientY - frame.top);
      if (!found) return setUnder("");
      const logit = heat ? heatAt(heat, found.column, found.row, view.film) : NaN;
      const { slope, intercept } = view.film;
      const value = number(found.value * slope + intercept, 0);
      const said = Number.isNaN(logit) ? "" : ` · ${t("film.evidence")} ${number(logit, 2)}`;
      setUnder(`${found.column}, ${found.row}: ${value}${said}`);
    };
    const left = () => setUnder("");
    host?.addEventListener("pointermove", moved);
    host?.addEventListener("pointerleave", left);
    return () => {
      host?.removeEventListener("pointermove", moved);
      host?.removeEventListener("pointerleave", left);
    };
  }, [view, heat, host]);
  const turned = [
    state.rotation ? `${state.rotation}°` : "",
    state.flippedX ? "↔" : "",
    state.flippedY ? "↕" : "",
    state.inverted ? t("tool.invert") : "",
  ].filter(Boolean);
  const edges = Object.entries(edgesOf(view.film, view.map(), props.assume)) as [Edge, string][];
  return (
    <div class="corners" aria-hidden="true">
      {edges.map(([edge, letter]) => (
        <b key={edge} class={`edge ${edge}`} title={t(`edge.${view.film.orientation ? "stated" : "assumed"}`)}>
          {letter}
        </b>
      ))}
      <div class="top left identity">
        {props.identity.map((line) => (
          <span key={line}>{line}</span>
        ))}
      </div>
      <span class="top right">{turned.join(" ")}</span>
      <span class="bottom left">{under}</span>
      <Scale film={view.film} map={view.map()} />
      <span class="bottom right" data-window={`${state.center} ${state.width}`}>
        {t("film.window", { center: number(state.center, 0), width: number(state.width, 0) })} ·{" "}
        {number(100 * state.scale, 0)} %
      </span>
    </div>
  );
}

/** Lengths that a bar may stand for, in millimeters, or in pixels where no spacing is known. */
const LENGTHS = [1000, 500, 200, 100, 50, 20, 10, 5, 2, 1];
const LONGEST = 160;

/** A bar of a round length, and of what millimeters: of the patient or of the detector. */
function Scale({ film, map }: { film: ImageAnswer; map: Affine }) {
  const each = Math.hypot(map.a, map.b) / (film.spacing_mm?.[1] ?? 1); // CSS pixels of a millimeter
  const length = LENGTHS.find((one) => one * each <= LONGEST);
  if (!length || !film.spacing_mm) return null;
  return (
    <div class="scale-bar" style={{ width: `${length * each}px` }}>
      {number(length, 0)} {lengthUnit(film)}
    </div>
  );
}
