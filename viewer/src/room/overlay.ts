/**
 * Overlays: what is drawn over a film, in the film's own pixels.
 *
 * Film pixels are counted from the upper left corner of the film: pixel (i, j) covers
 * [i, i + 1] x [j, j + 1]. One affine map brings them onto the screen, the same for every layer, so
 * that a layer cannot come off the anatomy under zoom, rotation or flip.
 */

/** A picture stretched over the whole film, or a shape on it. */
export type Layer =
  | { id: string; kind: "picture"; picture: CanvasImageSource; opacity: number; smooth: boolean }
  | { id: string; kind: "shape"; path: Path2D; color: string; opacity: number; dash?: number[]; fill?: number };

/** From film pixels to CSS pixels: (x, y) becomes (a x + c y + e, b x + d y + f). */
export interface Affine {
  a: number;
  b: number;
  c: number;
  d: number;
  e: number;
  f: number;
}

/** The affine map through the images of three corners of a film of `columns` x `rows`. */
export function affineThrough(
  corner: readonly [number, number],
  right: readonly [number, number],
  below: readonly [number, number],
  columns: number,
  rows: number,
): Affine {
  return {
    a: (right[0] - corner[0]) / columns,
    b: (right[1] - corner[1]) / columns,
    c: (below[0] - corner[0]) / rows,
    d: (below[1] - corner[1]) / rows,
    e: corner[0],
    f: corner[1],
  };
}

/** CSS pixels of one film pixel. */
export const scaleOf = (map: Affine): number => Math.hypot(map.a, map.b);

/** From CSS pixels back to film pixels. */
export function toFilm(map: Affine, x: number, y: number): [number, number] {
  const det = map.a * map.d - map.b * map.c;
  const [u, v] = [x - map.e, y - map.f];
  return [(map.d * u - map.c * v) / det, (map.a * v - map.b * u) / det];
}

/** Draw the layers, first at the bottom. The canvas is `ratio` device pixels a CSS pixel. */
export function drawLayers(
  canvas: HTMLCanvasElement,
  layers: readonly Layer[],
  map: Affine,
  film: { rows: number; columns: number },
  ratio: number,
): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const matrix = new DOMMatrix([map.a, map.b, map.c, map.d, map.e, map.f].map((v) => v * ratio));
  for (const layer of layers) {
    context.globalAlpha = layer.opacity;
    if (layer.kind === "picture") {
      context.setTransform(matrix);
      context.imageSmoothingEnabled = layer.smooth;
      context.imageSmoothingQuality = "high";
      context.drawImage(layer.picture, 0, 0, film.columns, film.rows);
      context.setTransform(1, 0, 0, 1, 0, 0);
    } else {
      drawShape(context, layer, matrix, ratio);
    }
  }
  context.globalAlpha = 1;
}

function drawShape(
  context: CanvasRenderingContext2D,
  layer: Extract<Layer, { kind: "shape" }>,
  matrix: DOMMatrix,
  ratio: number,
): void {
  const path = new Path2D();
  path.addPath(layer.path, matrix);
  if (layer.fill) {
    context.globalAlpha = layer.opacity * layer.fill;
    context.fillStyle = layer.color;
    context.fill(path, "evenodd");
    context.globalAlpha = layer.opacity;
  }
  context.setLineDash((layer.dash ?? []).map((length) => length * ratio));
  context.lineWidth = 3.5 * ratio; // a dark line beneath keeps the border visible on bone
  context.strokeStyle = "rgba(0, 0, 0, 0.55)";
  context.stroke(path);
  context.lineWidth = 1.75 * ratio;
  context.strokeStyle = layer.color;
  context.stroke(path);
}

/** A closed polygon through the centers of film pixels. */
export function polygon(points: readonly (readonly [number, number])[]): Path2D {
  const path = new Path2D();
  points.forEach(([x, y], place) => {
    if (place === 0) path.moveTo(x + 0.5, y + 0.5);
    else path.lineTo(x + 0.5, y + 0.5);
  });
  path.closePath();
  return path;
}

/** A box (left, top, width, height) along the edges of film pixels. */
export function box([left, top, width, height]: readonly [number, number, number, number]): Path2D {
  const path = new Path2D();
  path.rect(left, top, width, height);
  return path;
}

/** The border of a mask, along the edges of its pixels, stretched over a film. */
export function maskBorder(
  mask: { width: number; height: number; data: Uint8Array },
  film: { rows: number; columns: number },
): Path2D {
  const { width, height, data } = mask;
  const [sx, sy] = [film.columns / width, film.rows / height];
  const inside = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < width && y < height && (data[y * width + x] ?? 0) > 127;
  const path = new Path2D();
  const line = (x0: number, y0: number, x1: number, y1: number) => {
    path.moveTo(x0 * sx, y0 * sy);
    path.lineTo(x1 * sx, y1 * sy);
  };
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const here = inside(x, y);
      if (here !== inside(x - 1, y)) line(x, y, x, y + 1);
      if (here !== inside(x, y - 1)) line(x, y, x + 1, y);
    }
  }
  return path;
}
