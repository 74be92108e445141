/** Icons of the tools: strokes on a grid of 24. */
const PATHS = {
  window: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  pan: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  zoom: "M10 4a6 6 0 1 0 0 12a6 6 0 0 0 0-12M14.500 14.500L21 21M10 7v6M7 10h6",
  magnify: "M10 4a6 6 0 1 0 0 12a6 6 0 0 0 0-12M14.500 14.500L21 21",
  length: "M4 20L20 4M2.500 18.500l3 3M18.500 2.500l3 3M8 14l1.500 1.500M11 11l1.500 1.500M14 8l1.500 1.500",
  ruler: "M4 15L15 4l5 5L9 20zM7 12l2 2M10 9l2 2M13 6l2 2",
  region: "M12 5c5 0 9 3 9 7s-4 7-9 7-9-3-9-7 4-7 9-7",
  mark: "M4 6h16v12H4z",
  invert: "M4 4h16v16H4zM4 20L20 4M9 20L20 9M14 20l6-6",
  rotate: "M19 12a7 7 0 1 1-3-5.700M16 2v5h-5",
  "rotate-back": "M5 12a7 7 0 1 0 3-5.700M8 2v5h5",
  "flip-x": "M12 3v18M9 6L3 18h6zM15 6l6 12h-6z",
  "flip-y": "M3 12h18M6 9L18 3v6zM6 15l12 6v-6z",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  one: "M7 7v10M5 9l2-2M17 7v10M15 9l2-2M12 10v.5M12 14v.5",
  reset: "M4 12a8 8 0 1 0 2.500-5.800M4 4v5h5",
  screen: "M3 5h18v12H3zM9 21h6",
  clear: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  compare: "M4 4h16v16H4zM12 4v16",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" class="icon">
      <path d={PATHS[name]} />
    </svg>
  );
}
