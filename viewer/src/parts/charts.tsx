/** Charts: plain inline SVG, one hue beside grey, told apart by shape as well as by color. */
import { number, percent, t } from "../core/i18n";
import type { Estimate } from "../core/types";

const W = 640;
const H = 200;
const LEFT = 56;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 30;

export interface Series {
  name: string;
  values: readonly (number | null)[];
  style: "a" | "b" | "c" | "d";
}

/** The end of an axis: 1, 2 or 5 times a power of ten. */
export function niceEnd(largest: number): number {
  if (largest <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(largest));
  return [1, 2, 5, 10].map((times) => times * power).find((end) => end >= largest * (1 - 1e-9)) ?? largest;
}

const yOf = (value: number, end: number): number => TOP + (H - TOP - BOTTOM) * (1 - value / end);

function Frame(props: {
  title: string;
  end: number;
  labels: readonly string[];
  format: (value: number) => string;
  children: preact.ComponentChildren;
}) {
  const step = (W - LEFT - RIGHT) / Math.max(props.labels.length, 1);
  const every = Math.max(1, Math.ceil(props.labels.length / 8));
  return (
    <svg class="chart" viewBox={`0 0 ${W} ${H}`} role="img" aria-label={props.title}>
      {[0, 0.5, 1].map((share) => (
        <g key={share}>
          <line x1={LEFT} x2={W - RIGHT} y1={yOf(share, 1)} y2={yOf(share, 1)} class="grid-line" />
          <text x={LEFT - 6} y={yOf(share, 1) + 5} text-anchor="end">
            {props.format(share * props.end)}
          </text>
        </g>
      ))}
      {props.labels.map((label, place) =>
        place % every === 0 ? (
          <text
            key={label}
            class={place % (2 * every) ? "between" : ""}
            x={LEFT + step * (place + 0.5)}
            y={H - 8}
            text-anchor="middle"
          >
            {label}
          </text>
        ) : null,
      )}
      {props.children}
    </svg>
  );
}

export function Legend({ series }: { series: readonly Series[] }) {
  return (
    <ul class="chart-legend">
      {series.map(({ name, style }) => (
        <li key={name}>
          <svg width="14" height="14" aria-hidden="true">
            <rect width="14" height="14" rx="3" class={`fill-${style}`} />
          </svg>{" "}
          {name}
        </li>
      ))}
    </ul>
  );
}

/** Bars on top of each other, one column a label. */
export function Stacked(props: { title: string; labels: readonly string[]; series: readonly Series[] }) {
  const { labels, series } = props;
  const totals = labels.map((_, place) => series.reduce((sum, { values }) => sum + (values[place] ?? 0), 0));
  const end = 2 * niceEnd(Math.max(...totals, 1) / 2); // counts: the middle of the axis is one, too
  const step = (W - LEFT - RIGHT) / Math.max(labels.length, 1);
  return (
    <figure>
      <Frame title={props.title} end={end} labels={labels} format={(value) => number(value, value % 1 ? 1 : 0)}>
        {labels.map((label, place) => {
          let below = 0;
          return series.map(({ name, values, style }) => {
            const value = values[place] ?? 0;
            const top = yOf(below + value, end);
            const height = yOf(below, end) - top;
            below += value;
            return height > 0 ? (
              <rect
                key={`${label}${name}`}
                x={LEFT + step * (place + 0.15)}
                width={step * 0.7}
                y={top}
                height={height}
                class={`fill-${style}`}
              >
                <title>{`${label}: ${name} ${value}`}</title>
              </rect>
            ) : null;
          });
        })}
      </Frame>
      <Legend series={series} />
    </figure>
  );
}

/** Lines with a point at each known value; a gap where nothing is known. */
export function Lines(props: {
  title: string;
  labels: readonly string[];
  series: readonly Series[];
  end?: number;
  format?: (value: number) => string;
}) {
  const { labels, series } = props;
  const known = series.flatMap(({ values }) => values.filter((value) => value !== null));
  const end = props.end ?? niceEnd(Math.max(...known, 0));
  const step = (W - LEFT - RIGHT) / Math.max(labels.length, 1);
  const x = (place: number) => LEFT + step * (place + 0.5);
  return (
    <figure>
      <Frame title={props.title} end={end} labels={labels} format={props.format ?? ((value) => number(value, 0))}>
        {series.map(({ name, values, style }) => (
          <g key={name} class={`line-${style}`}>
            <path
              d={values
                .map((value, place) => {
                  if (value === null) return "";
                  const start = place === 0 || values[place - 1] === null;
                  return `${start ? "M" : "L"}${x(place)} ${yOf(Math.max(value, 0), end)}`;
                })
                .join("")}
            />
            {values.map((value, place) =>
              value === null ? null : (
                <circle key={labels[place]} cx={x(place)} cy={yOf(Math.max(value, 0), end)} r="3.5">
                  <title>{`${labels[place]}: ${name} ${number(value, 2)}`}</title>
                </circle>
              ),
            )}
          </g>
        ))}
      </Frame>
      <Legend series={series} />
    </figure>
  );
}

/** Two distributions side by side in the same bins: bars here, a stepped line for the other. */
export function Distributions(props: {
  title: string;
  edges: readonly number[];
  here: readonly number[];
  there: readonly number[];
  names: readonly [string, string];
}) {
  const labels = props.here.map((_, place) => number(props.edges[place] ?? place / props.here.length, 1));
  const end = niceEnd(Math.max(...props.here, ...props.there, 0.01));
  const step = (W - LEFT - RIGHT) / Math.max(labels.length, 1);
  const steps = props.there.map((value, place) => {
    const y = yOf(value, end);
    return `${place ? "L" : "M"}${LEFT + step * place} ${y}L${LEFT + step * (place + 1)} ${y}`;
  });
  return (
    <figure>
      <Frame title={props.title} end={end} labels={labels} format={(value) => percent(value)}>
        {props.here.map((value, place) => (
          <rect
            key={labels[place]}
            x={LEFT + step * (place + 0.1)}
            width={step * 0.8}
            y={yOf(value, end)}
            height={Math.max(yOf(0, end) - yOf(value, end), 0)}
            class="fill-a"
          >
            <title>{`${labels[place]}: ${percent(value, 1)}`}</title>
          </rect>
        ))}
        <g class="line-b">
          <path d={steps.join("")} />
        </g>
      </Frame>
      <Legend
        series={[
          { name: props.names[0], values: [], style: "a" },
          { name: props.names[1], values: [], style: "b" },
        ]}
      />
    </figure>
  );
}

/** Counts by name, longest first. */
export function Bars(props: { title: string; rows: readonly (readonly [string, number])[] }) {
  const most = Math.max(...props.rows.map(([, count]) => count), 1);
  const sorted = [...props.rows].sort((one, other) => other[1] - one[1]);
  if (sorted.length === 0) return <p class="soft">{t("nothing-yet")}</p>;
  return (
    <table class="bars" aria-label={props.title}>
      <tbody>
        {sorted.map(([name, count]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              <meter min={0} max={most} value={count} aria-label={name} />
            </td>
            <td class="num">{count}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Before and after as two points with their intervals on one line. */
export function BeforeAfter({ before, after }: { before?: Estimate; after?: Estimate }) {
  const all = [before, after].flatMap((each) => [each?.low, each?.high, each?.value]);
  const known = all.filter((value): value is number => typeof value === "number");
  if (known.length === 0) return null;
  const [low, high] = [Math.min(0, ...known), Math.max(1, ...known)];
  const x = (value: number) => 4 + (232 * (value - low)) / (high - low);
  const row = (each: Estimate | undefined, y: number, style: "b" | "a") =>
    each && each.value !== null ? (
      <g class={`line-${style}`}>
        {each.low !== null && each.high !== null && (
          <path d={`M${x(each.low)} ${y}L${x(each.high)} ${y}`} />
        )}
        {style === "a" ? (
          <circle cx={x(each.value)} cy={y} r="4" />
        ) : (
          <rect x={x(each.value) - 3.5} y={y - 3.5} width="7" height="7" class="fill-b" />
        )}
      </g>
    ) : null;
  return (
    <svg class="before-after" viewBox="0 0 240 28" aria-hidden="true">
      <line x1="4" x2="236" y1="14" y2="14" class="grid-line" />
      {row(before, 8, "b")}
      {row(after, 20, "a")}
    </svg>
  );
}

export interface Curve {
  name: string;
  points: readonly (readonly [number, number])[];
  style: "a" | "b" | "c";
}

/** ROC curves in one square; each is named by what the pointer, or a screen reader, finds on it. */
export function Roc({ title, curves }: { title: string; curves: readonly Curve[] }) {
  const side = 300;
  const x = (value: number) => LEFT + side * value;
  const y = (value: number) => TOP + side * (1 - value);
  return (
    <svg class="chart roc" viewBox={`0 0 ${LEFT + side + RIGHT} ${TOP + side + BOTTOM}`} role="img" aria-label={title}>
      {[0, 0.5, 1].map((share) => (
        <g key={share}>
          <line x1={x(0)} x2={x(1)} y1={y(share)} y2={y(share)} class="grid-line" />
          <text x={x(0) - 6} y={y(share) + 4} text-anchor="end">{percent(share)}</text>
          <text x={x(share)} y={y(0) + 18} text-anchor={share === 1 ? "end" : "middle"}>{percent(share)}</text>
        </g>
      ))}
      <line x1={x(0)} y1={y(0)} x2={x(1)} y2={y(1)} class="grid-line" />
      {curves.map(({ name, points, style }) => (
        <g key={name} class={`line-${style}`}>
          <path d={points.map(([a, b], place) => `${place ? "L" : "M"}${x(a)} ${y(b)}`).join("")}>
            <title>{name}</title>
          </path>
        </g>
      ))}
    </svg>
  );
}
