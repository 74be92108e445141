/**
 * FilmView: one film on the screen, with its tools and its overlays.
 *
 * cornerstone draws the film; the overlays are drawn by `overlay.ts` on a canvas above it, through
 * the map that cornerstone itself gives from the film to the screen.
 */
import {
  Enums, eventTarget, getShouldUseCPURendering, RenderingEngine, type Types,
} from "@cornerstonejs/core";
import { annotation, Enums as ToolEnums, ToolGroupManager, type Types as ToolTypes } from "@cornerstonejs/tools";
import { listen } from "../core/events";
import type { ImageAnswer, Mark } from "../core/types";
import { drawnOn, drawOn, type Point } from "./drawn";
import { defaultWindow, fetchAhead, filmImage, forget, imageIdOf, spacingOf } from "./loader";
import { affineThrough, drawLayers, scaleOf, toFilm, type Affine, type Layer } from "./overlay";
import { askLength } from "./ruler";
import { bindMouse, RULER, newToolGroup, sizeLens, startCornerstone, type ToolName } from "./tools";

/** What the screen shows of a film. */
export interface ViewState {
  center: number;
  width: number;
  scale: number;
  rotation: number;
  flippedX: boolean;
  flippedY: boolean;
  inverted: boolean;
}

/**
 * From the corner of film pixel (0, 0) to the origin of cornerstone's world, in film pixels: its
 * center where the graphics card draws, its corner where the processor does (measured: the phantom
 * of tests/apps/web/browser/test_overlay.py is half a pixel off otherwise).
 */
const halfPixel = (): number => (getShouldUseCPURendering() ? 0 : 0.5);

/** Zoom relative to the fit; the place in the middle, as shares of the film. */
export interface Aim {
  zoom: number;
  x: number;
  y: number;
}

const TOUCHES = ["touchstart", "touchmove", "touchend", "touchcancel"] as const;

let engine: RenderingEngine | null = null;
let count = 0;

/** How long a film is looked at before the next one is drawn: until all that is said of it stands there. */
const AHEAD_MS = 500;

/** The film that probably comes next: fetched, then drawn where nobody sees it, in a place of the same size. */
let ahead: Ahead | null = null;
interface Ahead {
  filmId: string;
  /** The film that is looked at meanwhile. */
  now: FilmView;
  pane: HTMLDivElement | null;
  view: Promise<FilmView> | null;
}

/** A place for a film that fills its host. */
function newPane(host: HTMLElement): HTMLDivElement {
  const pane = document.createElement("div");
  pane.className = "pane";
  host.append(pane);
  return pane;
}

export class FilmView {
  readonly id: string;
  private readonly canvas: HTMLCanvasElement;
  private layers: readonly Layer[] = [];
  private readonly listeners = new Set<() => void>();
  private readonly resizer: ResizeObserver;
  private closed = false;
  /** The room that the film was last fitted into, and what it showed there. */
  private room = "";
  private aim: Aim | null = null;
  private screen = window.matchMedia("all");

  private constructor(
    readonly element: HTMLDivElement,
    readonly filmId: string,
    readonly film: ImageAnswer,
    private readonly viewport: Types.IStackViewport,
    id: string,
  ) {
    this.id = id;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "overlay";
    this.canvas.setAttribute("aria-hidden", "true");
    const layerHost = element.querySelector(".viewport-element") ?? element;
    const annotations = layerHost.querySelector(".svg-layer");
    layerHost.insertBefore(this.canvas, annotations);
    element.addEventListener(Enums.Events.IMAGE_RENDERED, this.paint);
    element.addEventListener(Enums.Events.CAMERA_MODIFIED, this.paint);
    element.addEventListener(Enums.Events.VOI_MODIFIED, this.changed);
    eventTarget.addEventListener(ToolEnums.Events.ANNOTATION_COMPLETED, this.changed);
    eventTarget.addEventListener(ToolEnums.Events.ANNOTATION_MODIFIED, this.changed);
    eventTarget.addEventListener(ToolEnums.Events.ANNOTATION_COMPLETED, this.calibrated);
    eventTarget.addEventListener(ToolEnums.Events.ANNOTATION_REMOVED, this.changed);
    for (const kind of TOUCHES) element.addEventListener(kind, this.touched);
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(element);
    this.watchScreen();
    if (element.clientWidth) this.settle(); // it was fitted when it was enabled
  }

  /** Show a film in an element; rejects if it cannot be fetched. */
  static open(host: HTMLElement, filmId: string): Promise<FilmView> {
    const drawn = ahead?.filmId === filmId ? ahead : null;
    if (drawn) ahead = null;
    if (!drawn?.pane || !drawn.view) return FilmView.drawn(newPane(host), filmId);
    host.append(drawn.pane);
    drawn.pane.classList.remove("ahead");
    return drawn.view;
  }

  /** Draw a film in a place of its own. */
  private static async drawn(element: HTMLDivElement, filmId: string): Promise<FilmView> {
    const id = `film-${++count}`;
    try {
      await startCornerstone();
      const film = await filmImage(filmId);
      engine ??= new RenderingEngine("hilum");
      engine.enableElement({ viewportId: id, type: Enums.ViewportType.STACK, element });
      const viewport = engine.getViewport(id) as Types.IStackViewport;
      newToolGroup(id).addViewport(id, engine.id);
      await viewport.setStack([imageIdOf(filmId)]);
      const view = new FilmView(element, filmId, film, viewport, id);
      view.reset();
      return view;
    } catch (error) {
      ToolGroupManager.destroyToolGroup(id);
      if (engine?.getViewport(id)) engine.disableElement(id);
      element.remove();
      throw error;
    }
  }

  /** Fetch the film that comes next, and draw it; a graphics card draws it soon enough when it comes. */
  static async ahead(filmId: string, now: FilmView): Promise<void> {
    if (ahead?.filmId === filmId) {
      ahead.now = now; // the film before was opened anew: its place is another one
      if (ahead.pane) now.element.parentElement?.append(ahead.pane);
      return;
    }
    FilmView.dropAhead();
    const here: Ahead = (ahead = { filmId, now, pane: null, view: null });
    const [there] = await Promise.all([fetchAhead(filmId), new Promise((done) => setTimeout(done, AHEAD_MS))]);
    if (ahead !== here || (there && !getShouldUseCPURendering())) return;
    const host = here.now.element.parentElement;
    if (!there || here.now.closed || !host) return FilmView.dropAhead();
    here.pane = newPane(host);
    here.pane.classList.add("ahead");
    here.view = FilmView.drawn(here.pane, filmId);
    here.view.catch(() => {
      if (ahead === here) FilmView.dropAhead(); // whoever opens it is told why it cannot be had
    });
  }

  /** Nobody is going to open the film that was drawn ahead. */
  static dropAhead(): void {
    ahead?.view?.then((view) => view.close(), () => undefined);
    ahead?.pane?.remove();
    ahead = null;
  }

  /** Fetch a film anew when it is next opened. */
  static forget(filmId: string): void {
    if (ahead?.filmId === filmId) FilmView.dropAhead();
    forget(filmId);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.resizer.disconnect();
    this.screen.removeEventListener("change", this.watchScreen);
    this.listeners.clear();
    for (const kind of TOUCHES) this.element.removeEventListener(kind, this.touched);
    eventTarget.removeEventListener(ToolEnums.Events.ANNOTATION_COMPLETED, this.changed);
    eventTarget.removeEventListener(ToolEnums.Events.ANNOTATION_MODIFIED, this.changed);
    eventTarget.removeEventListener(ToolEnums.Events.ANNOTATION_COMPLETED, this.calibrated);
    eventTarget.removeEventListener(ToolEnums.Events.ANNOTATION_REMOVED, this.changed);
    this.clearAnnotations();
    ToolGroupManager.destroyToolGroup(this.id);
    engine?.disableElement(this.id);
    this.element.remove();
  }

  /** Call `listener` after every change of what is shown; returns how to stop it. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  use(tool: ToolName): void {
    bindMouse(this.id, tool);
  }

  show(layers: readonly Layer[]): void {
    this.layers = layers;
    this.paint();
  }

  state(): ViewState {
    const { voiRange, invert } = this.viewport.getProperties();
    const { rotation } = this.viewport.getViewPresentation();
    const { flipHorizontal, flipVertical } = this.viewport.getCamera();
    const low = voiRange?.lower ?? this.film.min;
    const high = voiRange?.upper ?? this.film.max;
    return {
      center: (low + high) / 2,
      width: high - low,
      scale: scaleOf(this.map()) * this.ratio(),
      rotation: Math.round(((rotation ?? 0) % 360) + 360) % 360,
      flippedX: Boolean(flipHorizontal),
      flippedY: Boolean(flipVertical),
      inverted: Boolean(invert),
    };
  }

  setWindow(center: number, width: number): void {
    const half = Math.max(width, 1) / 2;
    this.viewport.setProperties({ voiRange: { lower: center - half, upper: center + half } });
    this.render();
  }

  invert(): void {
    this.viewport.setProperties({ invert: !this.state().inverted });
    this.render();
  }

  rotate(degrees: number): void {
    const { rotation = 0 } = this.viewport.getViewPresentation();
    this.viewport.setViewPresentation({ rotation: (((rotation + degrees) % 360) + 360) % 360 });
    this.render();
  }

  /** Mirror what the screen shows. */
  flip(axis: "x" | "y"): void {
    const { flippedX, flippedY } = this.state();
    // the processor's renderer flips the film before it turns it: a mirrored turn goes the other way
    if (getShouldUseCPURendering()) this.rotate(-2 * this.state().rotation);
    this.viewport.setViewPresentation({
      flipHorizontal: axis === "x" ? !flippedX : flippedX,
      flipVertical: axis === "y" ? !flippedY : flippedY,
    });
    this.render();
  }

  fit(): void {
    this.viewport.resetCamera({ resetPan: true, resetZoom: true, resetToCenter: true });
    this.render();
  }

  /** One film pixel on one pixel of the screen. */
  oneToOne(): void {
    this.zoomBy(1 / this.state().scale);
  }

  zoomBy(factor: number): void {
    this.viewport.setZoom(this.viewport.getZoom() * factor);
    this.render();
  }

  /** Move the film by CSS pixels; by its camera, as cornerstone's own pan differs by renderer. */
  panBy(x: number, y: number): void {
    const { focalPoint, position } = this.viewport.getCamera();
    if (!focalPoint || !position) return;
    const [from, to] = [this.viewport.canvasToWorld([0, 0]), this.viewport.canvasToWorld([x, y])];
    const moved = (point: Types.Point3) =>
      point.map((each, axis) => each + (from[axis] ?? 0) - (to[axis] ?? 0)) as Types.Point3;
    this.viewport.setCamera({ focalPoint: moved(focalPoint), position: moved(position) });
    this.render();
  }

  private pinch: { apart: number; x: number; y: number } | null = null;

  /** Two fingers hold the film: what lies between them stays between them, as far apart as they are. */
  private readonly touched = ({ touches: [one, two] }: TouchEvent): void => {
    const before = this.pinch;
    this.pinch = null;
    if (!one || !two) return;
    const { left, top } = this.element.getBoundingClientRect();
    const apart = Math.max(Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY), 1);
    const now = { apart, x: (one.clientX + two.clientX) / 2 - left, y: (one.clientY + two.clientY) / 2 - top };
    this.pinch = now;
    if (!before) return;
    const [column, row] = toFilm(this.map(), before.x, before.y);
    this.zoomBy(now.apart / before.apart);
    const { a, b, c, d, e, f } = this.map();
    this.panBy(now.x - (a * column + c * row + e), now.y - (b * column + d * row + f));
  };

  /** As it was when it was opened: window, zoom, rotation, flips; measurements stay. */
  reset(): void {
    this.viewport.setViewPresentation({ rotation: 0, flipHorizontal: false, flipVertical: false });
    this.viewport.resetCamera();
    const { center, width } = defaultWindow(this.film);
    const half = Math.max(width, 1) / 2;
    this.viewport.setProperties({
      voiRange: { lower: center - half, upper: center + half },
      invert: false,
    });
    this.render();
  }

  /** Zoom relative to the fit, and which part of the film is in the middle: fit for another film. */
  camera(): Aim {
    const { columns, rows } = this.film;
    const [x, y] = toFilm(this.map(), this.element.clientWidth / 2, this.element.clientHeight / 2);
    return { zoom: scaleOf(this.map()) / this.fitScale(), x: x / columns, y: y / rows };
  }

  /** Show what another view shows. */
  follow({ zoom, x, y }: Aim): void {
    this.zoomBy((zoom * this.fitScale()) / scaleOf(this.map()));
    const { a, b, c, d, e, f } = this.map();
    const [column, row] = [x * this.film.columns, y * this.film.rows];
    const { clientWidth, clientHeight } = this.element;
    this.panBy(clientWidth / 2 - (a * column + c * row + e), clientHeight / 2 - (b * column + d * row + f));
  }

  /** CSS pixels of one film column where the whole film just fits. */
  private fitScale(): number {
    const [row, column] = spacingOf(this.film);
    const { clientWidth, clientHeight } = this.element;
    return column * Math.min(clientWidth / (this.film.columns * column), clientHeight / (this.film.rows * row));
  }

  /** The value of the film under a place on the screen (CSS pixels of the element). */
  probe(x: number, y: number): { column: number; row: number; value: number } | null {
    const [column, row] = toFilm(this.map(), x, y).map(Math.floor) as [number, number];
    if (column < 0 || row < 0 || column >= this.film.columns || row >= this.film.rows) return null;
    const pixels = this.viewport.getCornerstoneImage()?.getPixelData();
    const value = pixels?.[row * this.film.columns + column];
    return value === undefined ? null : { column, row, value };
  }

  /** What is drawn on the film: lengths, regions, marks, in film pixels. */
  drawn(): Mark[] {
    return drawnOn(this.element, this.toPixel);
  }

  /** Draw these, and nothing else. */
  draw(marks: readonly Mark[]): void {
    this.quietly(() => {
      this.clearAnnotations();
      drawOn(this.viewport, marks, this.toWorld);
    });
    this.viewport.render();
  }

  /** From cornerstone's world to film pixels. */
  private readonly toPixel = ([x = 0, y = 0]: readonly number[]): Point => {
    const [row, column] = spacingOf(this.film);
    return [x / column + halfPixel(), y / row + halfPixel()];
  };

  private readonly toWorld = ([x, y]: Point): Types.Point3 => {
    const [row, column] = spacingOf(this.film);
    return [(x - halfPixel()) * column, (y - halfPixel()) * row, 0];
  };

  /** A line of known length is no measurement: it says how large the pixels are. */
  private readonly calibrated = (event: CustomEventInit<{ annotation: ToolTypes.Annotation }>): void => {
    const line = event.detail?.annotation;
    if (!line?.annotationUID || line.metadata?.toolName !== RULER) return;
    if (line.metadata.FrameOfReferenceUID !== imageIdOf(this.filmId)) return;
    const [from, to] = (line.data.handles?.points ?? []).map(this.toPixel);
    annotation.state.removeAnnotation(line.annotationUID);
    this.viewport.render();
    if (from && to) setTimeout(() => void askLength(this.filmId, [from, to])); // the drawing ends first
  };

  clearAnnotations(): void {
    const key = imageIdOf(this.filmId);
    for (const each of annotation.state.getAllAnnotations()) {
      if (each.metadata?.FrameOfReferenceUID === key && each.annotationUID) {
        annotation.state.removeAnnotation(each.annotationUID);
      }
    }
    if (!this.closed) this.viewport.render();
  }

  /** From film pixels to CSS pixels of the element. */
  map(): Affine {
    const at = (x: number, y: number) => this.viewport.worldToCanvas(this.toWorld([x, y]));
    const { columns, rows } = this.film;
    return affineThrough(at(0, 0), at(columns, 0), at(0, rows), columns, rows);
  }

  private render(): void {
    this.viewport.render();
    this.paint();
  }

  private ratio(): number {
    return window.devicePixelRatio || 1;
  }

  /** Another screen, or the browser's zoom, changes the ratio without a change of size. */
  private readonly watchScreen = (): void => {
    this.screen.removeEventListener("change", this.watchScreen);
    this.screen = window.matchMedia(`(resolution: ${this.ratio()}dppx)`);
    this.screen.addEventListener("change", this.watchScreen);
    if (this.room) this.resize();
  };

  /** CSS pixels of the film's place, and pixels of the screen in each. */
  private place(): string {
    return [this.element.clientWidth, this.element.clientHeight, this.ratio()].join();
  }

  private resize(): void {
    if (this.element.clientWidth === 0) this.room = ""; // off the page: whatever resizes its canvas, it is fitted again
    if (this.closed || !engine || this.element.clientWidth === 0 || this.room === this.place()) return;
    const { aim } = this;
    engine.resize(true, true);
    // what was in the middle stays there, as large beside its fit as it was, in either renderer
    if (aim) this.follow(aim);
    this.settle();
    this.paint();
  }

  /** The film is fitted into the room that there is. */
  private settle(): void {
    sizeLens(this.id, this.element.clientHeight);
    this.room = this.place();
  }

  private readonly paint = (): void => {
    if (this.closed) return;
    const ratio = this.ratio();
    const width = Math.round(this.element.clientWidth * ratio);
    const height = Math.round(this.element.clientHeight * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    drawLayers(this.canvas, this.layers, this.map(), this.film, ratio);
    if (this.room === this.place()) this.aim = this.camera();
    this.changed();
  };

  private quiet = false;

  /** Nobody hears of the steps in between. */
  private quietly(step: () => void): void {
    this.quiet = true;
    step();
    this.quiet = false;
  }

  private readonly changed = (): void => {
    if (this.quiet) return;
    for (const listener of this.listeners) listener();
  };
}

// once read, a film may be shown put right; and it may be deleted
listen((event) => {
  if (ahead && (event.name === "open" || event.film_id === ahead.filmId)) FilmView.forget(ahead.filmId);
});
