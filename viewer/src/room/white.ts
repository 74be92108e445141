/** White of one size, whose opacities cornerstone's renderer on the processor overwrites with a film's grey levels. */
let kept = new Uint8ClampedArray(0);

/** The same bytes for every film: a film is written over the one before, and pasted at once. No film has colors. */
export function white(width: number, height: number): ImageData {
  const size = 4 * width * height;
  if (kept.length < size) kept = new Uint8ClampedArray(size).fill(255);
  return new ImageData(kept.subarray(0, size), width, height);
}
