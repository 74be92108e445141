/** Layers: what the server says can be laid over a film, as shapes and pictures. */
import { signal } from "@preact/signals";
import type { HeatmapFacts, Mark, OverlaysAnswer, VerdictAnswer } from "../core/types";
import { box, polygon, type Layer } from "./overlay";

export type OverlayName = "heatmap" | "lungs" | "lesions" | "boxes" | "marks";
export const OVERLAYS: readonly OverlayName[] = ["heatmap", "lungs", "lesions", "boxes", "marks"];

export interface Shown {
  on: boolean;
  opacity: number;
}

/** Kept from film to film, as a reader sets them once. */
export const shown = signal<Record<OverlayName, Shown>>({
  heatmap: { on: false, opacity: 1 },
  lungs: { on: true, opacity: 0.8 },
  lesions: { on: true, opacity: 1 },
  boxes: { on: false, opacity: 1 },
  marks: { on: true, opacity: 1 },
});
/** The one key that takes every overlay off the film, and puts them back. */
export const hidden = signal(false);

export function show(name: OverlayName, changes: Partial<Shown>): void {
  shown.value = { ...shown.value, [name]: { ...shown.value[name], ...changes } };
  if (changes.on) hidden.value = false;
}

/** Hues of Okabe and Ito (2008), which people with any color vision tell apart. */
export const COLORS = {
  for: [240, 130, 0],
  against: [60, 160, 240],
  right: "rgb(0, 200, 150)",
  left: "rgb(240, 220, 60)",
  "ground-glass": "rgb(240, 130, 0)",
  consolidation: "rgb(204, 121, 167)",
  box: "rgb(86, 180, 233)",
  mark: "rgb(255, 255, 255)",
} as const;
const STRONGEST = 0.7;

/** Dashes, in CSS pixels: whoever sees no hue tells the lines apart by them. */
export const DASHES: Record<"lungs" | "ground-glass" | "consolidation" | "box", number[]> = {
  lungs: [2, 4],
  "ground-glass": [],
  consolidation: [12, 4],
  box: [6, 4],
};

export interface Heat {
  info: HeatmapFacts;
  picture: HTMLCanvasElement;
  values: Float32Array;
}

/** A heatmap as a picture: its color is the sign, its opacity the strength. */
export function paintHeat(info: HeatmapFacts, values: Float32Array): Heat {
  const { rows, columns, limit } = info;
  if (values.length !== rows * columns) {
    throw new Error(`${values.length} values in a heatmap of ${rows} x ${columns}`);
  }
  const picture = document.createElement("canvas");
  picture.width = columns;
  picture.height = rows;
  const context = picture.getContext("2d");
  const image = new ImageData(columns, rows);
  values.forEach((value, place) => {
    const strength = Math.max(-1, Math.min(1, Number.isNaN(value) ? 0 : value / limit));
    const color = strength > 0 ? COLORS.for : COLORS.against;
    image.data.set([...color, Math.round(255 * STRONGEST * Math.abs(strength))], 4 * place);
  });
  context?.putImageData(image, 0, 0);
  return { info, picture, values };
}

/** Logits under a pixel of the film; NaN where the network did not look. */
export function heatAt(heat: Heat, column: number, row: number, film: { rows: number; columns: number }) {
  const { rows, columns } = heat.info;
  const x = Math.min(columns - 1, Math.floor(((column + 0.5) * columns) / film.columns));
  const y = Math.min(rows - 1, Math.floor(((row + 0.5) * rows) / film.rows));
  return heat.values[y * columns + x] ?? NaN;
}

/** Which overlays a film has at all. */
export function offered(overlays: OverlaysAnswer | null, marks: readonly Mark[]): Record<OverlayName, boolean> {
  return {
    heatmap: Boolean(overlays?.heatmaps.length),
    lungs: Boolean(overlays?.lungs.length),
    lesions: Boolean(overlays?.lesions.length),
    boxes: Boolean(overlays?.boxes.length),
    marks: marks.length > 0,
  };
}

export const marksOf = (verdicts: readonly VerdictAnswer[]): Mark[] =>
  verdicts.flatMap((verdict) => verdict.marks);

/** The layers to draw, from the bottom up. */
export function layersOf(overlays: OverlaysAnswer | null, heat: Heat | null, marks: readonly Mark[]): Layer[] {
  if (hidden.value) return [];
  const layers: Layer[] = [];
  const { heatmap, lungs, lesions, boxes, marks: drawn } = shown.value;
  if (heatmap.on && heat) {
    const { picture } = heat;
    layers.push({ id: "heatmap", kind: "picture", picture, opacity: heatmap.opacity, smooth: true });
  }
  const shape = (id: string, path: Path2D, color: string, opacity: number, fill = 0, dash?: number[]) =>
    layers.push({ id, kind: "shape", path, color, opacity, fill, dash });
  if (lungs.on) {
    overlays?.lungs.forEach(({ side, outline }, place) =>
      shape(`lung-${place}`, polygon(outline), COLORS[side ?? (place ? "left" : "right")], lungs.opacity, 0, DASHES.lungs),
    );
  }
  if (lesions.on) {
    overlays?.lesions.forEach(({ kind, outline }, place) => {
      const known = kind === "consolidation" ? kind : "ground-glass";
      shape(`lesion-${place}`, polygon(outline), COLORS[known], lesions.opacity, 0.18, DASHES[known]);
    });
  }
  if (boxes.on) {
    overlays?.boxes.forEach((each, place) =>
      shape(`box-${place}`, box(each.box), COLORS.box, boxes.opacity, 0, DASHES.box),
    );
  }
  if (drawn.on) {
    marks.forEach((mark, place) => shape(`mark-${place}`, pathOf(mark), COLORS.mark, drawn.opacity));
  }
  return layers;
}

/** A reviewer's mark, in film pixels counted from the film's corner. */
function pathOf({ kind, points }: Mark): Path2D {
  const path = new Path2D();
  const [first = [0, 0], second = first] = points;
  const [left, right] = [Math.min(first[0], second[0]), Math.max(first[0], second[0])];
  const [top, bottom] = [Math.min(first[1], second[1]), Math.max(first[1], second[1])];
  if (kind === "rectangle") path.rect(left, top, right - left, bottom - top);
  else if (kind === "ellipse") {
    path.ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, 0, 0, 7);
  } else if (kind === "point") path.arc(first[0], first[1], 6, 0, 7);
  else {
    points.forEach(([x, y], place) => (place ? path.lineTo(x, y) : path.moveTo(x, y)));
    if (kind === "polygon") path.closePath();
  }
  return path;
}
