/** Drawn: what a person drew on a film, as marks in the film's own pixels, and back again. */
import type { Types } from "@cornerstonejs/core";
import { annotation, EllipticalROITool, LengthTool, type Types as ToolTypes } from "@cornerstonejs/tools";
import type { Mark } from "../core/types";
import { MARK } from "./tools";

/** (x, y) in pixels of the film. */
export type Point = Mark["points"][number];

type Kind = "line" | "ellipse" | "rectangle";
type World = readonly number[];

const TOOLS: Record<Kind, string> = {
  line: LengthTool.toolName,
  ellipse: EllipticalROITool.toolName,
  rectangle: MARK,
};

/** A millionth of a pixel: what comes back from the server is what was sent. */
const exact = (value: number): number => Math.round(1e6 * value) / 1e6;

/** The marks on an element; `toPixel` from cornerstone's world to pixels of the film. */
export function drawnOn(element: HTMLDivElement, toPixel: (point: World) => Point): Mark[] {
  return (Object.entries(TOOLS) as [Kind, string][]).flatMap(([kind, tool]) =>
    (annotation.state.getAnnotations(tool, element) ?? []).flatMap((each): Mark[] => {
      const points = (each.data.handles?.points ?? []).map(toPixel);
      if (points.length < 2) return [];
      const ends = kind === "line" ? points.slice(0, 2) : corners(points);
      return [{ kind, points: ends.map(([x, y]): Point => [exact(x), exact(y)]), text: each.data.label ?? "" }];
    }),
  );
}

function corners(points: readonly Point[]): Point[] {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [[Math.min(...xs), Math.min(...ys)], [Math.max(...xs), Math.max(...ys)]];
}

/** Draw marks on a viewport; kinds that no tool draws are left out. */
export function drawOn(viewport: Types.IStackViewport, marks: readonly Mark[], toWorld: (point: Point) => World): void {
  const { viewPlaneNormal, viewUp } = viewport.getCamera();
  for (const { kind, points, text } of marks) {
    const tool = TOOLS[kind as Kind];
    if (!tool || points.length !== 2) continue;
    const drawn = {
      highlighted: false,
      invalidated: true, // measured when it is first drawn
      isLocked: false,
      isVisible: true,
      metadata: {
        toolName: tool,
        viewPlaneNormal,
        viewUp,
        FrameOfReferenceUID: viewport.getFrameOfReferenceUID(),
        referencedImageId: viewport.getCurrentImageId(),
      },
      data: {
        label: text ?? "",
        cachedStats: {},
        handles: {
          points: handles(kind as Kind, points as [Point, Point]).map(toWorld),
          activeHandleIndex: null,
          textBox: {
            hasMoved: false,
            worldPosition: [0, 0, 0],
            worldBoundingBox: {
              topLeft: [0, 0, 0], topRight: [0, 0, 0], bottomLeft: [0, 0, 0], bottomRight: [0, 0, 0],
            },
          },
        },
      },
    };
    annotation.state.addAnnotation(drawn as unknown as ToolTypes.Annotation, viewport.element);
  }
}

/** The points by which cornerstone holds a shape. */
function handles(kind: Kind, [[left, top], [right, bottom]]: [Point, Point]): Point[] {
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  if (kind === "line") return [[left, top], [right, bottom]];
  if (kind === "ellipse") return [[x, bottom], [x, top], [left, y], [right, y]];
  return [[left, top], [right, top], [left, bottom], [right, bottom]];
}
