/** Edges: towards what part of the patient each edge of the screen looks, however the film lies. */
import type { ImageAnswer } from "../core/types";
import type { Affine } from "./overlay";

export type Edge = "left" | "right" | "top" | "bottom";

const OPPOSITE: Record<string, string> = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };

/** A letter for each edge; in parentheses where it is assumed, as frontal films are displayed. */
export function edgesOf(film: ImageAnswer, map: Affine, assume: boolean): Partial<Record<Edge, string>> {
  const { orientation } = film;
  const found: Partial<Record<Edge, string>> = {};
  if (!orientation && !assume) return found;
  const put = (x: number, y: number, letter: string) => {
    const far = OPPOSITE[letter];
    if (!far) return;
    const [there, back] = orientation ? [letter, far] : [`(${letter})`, `(${far})`];
    const across = Math.abs(x) > Math.abs(y);
    const ahead = (across ? x : y) > 0;
    found[across ? "right" : "bottom"] = ahead ? there : back;
    found[across ? "left" : "top"] = ahead ? back : there;
  };
  put(map.a, map.b, orientation?.[0] ?? "L");
  if (orientation) put(map.c, map.d, orientation[1]);
  return found;
}
