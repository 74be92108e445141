/** Where the sign is and how much of it: affected shares by zone, severity with its range. */
import { asShown, named, number, part, percent, t } from "../core/i18n";
import type { Affected, Reading, ReadingAnswer, Severity } from "../core/types";
import { labelName } from "../parts/ui";

export function Where({ reading }: { reading: Reading }) {
  const details = reading.details;
  const both = details?.affected.find(({ side }) => side === null);
  if (!details || (!both && details.severity.length === 0)) return null;
  const found = lungsIn(details.affected);
  const only = found.length === 1 ? found[0] : undefined;
  return (
    <section class="where" aria-label={t("where")}>
      <h3>{t("where")}</h3>
      {both && (
        <>
          <p class="affected">
            <b>{part(both.share)}</b> {t(only ? `affected.${only}` : "affected.both")}
            <span class="soft">
              {Object.entries(both.kinds)
                .filter(([, share]) => share > 0)
                .map(([kind, share]) => ` · ${named("dictated.kind", kind)} ${part(share)}`)}
            </span>
          </p>
          {only && <p class="warn-line">{t(`affected.missing.${only === "right" ? "left" : "right"}`)}</p>}
          <Zones affected={details.affected} />
          {reading.film.sides === "assumed" && <p class="soft">{t("sides.assumed")}</p>}
        </>
      )}
      {details.severity.map((each) => (
        <SeverityLine key={each.scale} severity={each} />
      ))}
      {details.severity.length > 0 && <p class="soft">{t("severity.notice")}</p>}
    </section>
  );
}

const ZONES = ["upper", "middle", "lower"] as const;
const SIDES = ["right", "left"] as const;
type Lung = (typeof SIDES)[number];

/** The lungs that were found; with one alone, the row without a side is of that one. */
const lungsIn = (affected: readonly Affected[]): Lung[] =>
  SIDES.filter((side) => affected.some((each) => each.side === side && each.zone === null));

/** Six zones as the film shows them: the patient's right lung on the left. */
function Zones({ affected }: { affected: readonly Affected[] }) {
  const find = (side: string, zone: string | null) =>
    affected.find((each) => each.side === side && each.zone === zone);
  return (
    <table class="zones">
      <thead>
        <tr>
          <td />
          {SIDES.map((side) => (
            <th key={side} scope="col">
              {t(`side.${side}`)} {part(find(side, null)?.share)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {ZONES.map((zone) => (
          <tr key={zone}>
            <th scope="row">{t(`zone.${zone}`)}</th>
            {SIDES.map((side) => {
              const share = find(side, zone)?.share;
              return (
                <td key={side} class={`shade-${shade(share)}`}>
                  {part(share)}
                </td>
              );
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const shade = (share: number | undefined): number =>
  share === undefined ? 0 : Math.min(4, Math.ceil(share * 5));

function SeverityLine({ severity }: { severity: Severity }) {
  const { minimum, maximum, value, low, high } = severity;
  const x = (score: number) => 4 + (292 * (score - minimum)) / Math.max(maximum - minimum, 1e-9);
  return (
    <div class="severity">
      <span>
        {named("scale", severity.scale)} <b>{number(value, 1)}</b>{" "}
        <span class="soft">
          [{number(low, 1)}; {number(high, 1)}] {t("severity.of", { maximum: number(maximum, 0) })}
        </span>
      </span>
      <svg viewBox="0 0 300 14" aria-hidden="true" preserveAspectRatio="none">
        <line x1="4" x2="296" y1="7" y2="7" class="scale-base" />
        <line x1={x(low)} x2={x(high)} y1="7" y2="7" class="scale-range" />
        <line x1={x(value)} x2={x(value)} y1="1" y2="13" class="scale-mark" />
      </svg>
    </div>
  );
}

interface Side {
  answer: ReadingAnswer | null;
  when: string;
}

/** What changed from the earlier of two films to the later one, in words and in figures. */
export function Change({ earlier, later }: { earlier: Side; later: Side }) {
  const [then, now] = [earlier.answer?.reading, later.answer?.reading];
  if (then?.status !== "read" || now?.status !== "read") return <p class="soft">{t("change.unread")}</p>;
  const rows: { name: string; then: number; now: number; share: boolean }[] = [];
  for (const finding of now.findings) {
    const before = then.findings.find(({ label }) => label === finding.label);
    if (!before || before.prevalence === null || finding.prevalence === null) continue;
    rows.push({ name: labelName(finding.label), then: before.probability, now: finding.probability, share: true });
  }
  const opaque = (reading: Reading, side: string | null) => {
    const affected = reading.details?.affected ?? [];
    if (side === null && lungsIn(affected).length < SIDES.length) return undefined;
    return affected.find((each) => each.side === side && each.zone === null)?.share;
  };
  const lungs: Moves = {};
  for (const side of [null, ...SIDES]) {
    const [before, after] = [opaque(then, side), opaque(now, side)];
    if (before === undefined || after === undefined) continue;
    lungs[side ?? "both"] = { then: before, now: after };
    rows.push({ name: t(side ? `opaque.${side}` : "opaque.both"), then: before, now: after, share: true });
  }
  for (const score of now.details?.severity ?? []) {
    const before = then.details?.severity.find(({ scale }) => scale === score.scale);
    if (before) rows.push({ name: named("scale", score.scale), then: before.value, now: score.value, share: false });
  }
  return (
    <section class="change" aria-label={t("change")}>
      <h3>{t("change")}</h3>
      {inWords(lungs).map((line) => (
        <p key={line}>{line}</p>
      ))}
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col" class="num">{earlier.when}</th>
            <th scope="col" class="num">{later.when}</th>
            <th scope="col" class="num">{t("change.difference")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, then: before, now: after, share }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="num">{share ? percent(before) : number(before, 1)}</td>
              <td class="num">{share ? percent(after) : number(after, 1)}</td>
              <td class="num">{signed(share ? points(before, after) : tenths(before, after), share ? 0 : 1)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {earlier.answer?.bundle !== later.answer?.bundle && <p class="warn-line">{t("change.models")}</p>}
      <p class="soft">{t("change.explained")}</p>
    </section>
  );
}

const points = (then: number, now: number): number => asShown(now, 0, 2) - asShown(then, 0, 2);
const tenths = (then: number, now: number): number => asShown(now, 1) - asShown(then, 1);

const signed = (value: number, digits: number): string =>
  value === 0 ? number(0, digits) : `${value > 0 ? "+" : "−"}${number(Math.abs(value), digits)}`;

type Move = { then: number; now: number };
type Moves = { [lung in Lung | "both"]?: Move };

/** As in the draft of a report (`hilum/serve/said.py`): an opacity from LEAST on, and what both lungs
 * together, or one of them, must differ by. */
const [LEAST, MARGIN, LUNG_MARGIN] = [0.01, 0.05, 0.1];

function moved({ then, now }: Move, margin: number): "same" | "more" | "less" {
  if (Math.abs(Math.round((now - then) * 1e4) / 1e4) < margin) return "same";
  return now > then ? "more" : "less";
}

function changed(move: Move): "clear" | "new" | "same" | "more" | "less" {
  if (Math.max(move.then, move.now) < LEAST) return "clear";
  return move.then < LEAST ? "new" : moved(move, LUNG_MARGIN);
}

/** Both lungs together only where that hides nothing that one of them did. */
function inWords(moves: Moves): string[] {
  const lungs = SIDES.flatMap((side) => {
    const move = moves[side];
    return move ? [{ side, move, kind: changed(move) }] : [];
  });
  const both = moves.both;
  if (both) {
    const kind = lungs.every((each) => each.kind === "clear") ? "clear" : moved(both, MARGIN);
    const hidden = kind === "same" && lungs.some(({ move }) => moved(move, MARGIN) !== kind);
    const calm = lungs.every((each) => each.kind === "same" || each.kind === "clear");
    if (!hidden && (calm || lungs.every((each) => each.kind === kind)))
      return [t(`change.${kind}`, { points: number(Math.abs(points(both.then, both.now)), 0) })];
  }
  return lungs.map(({ side, move, kind }) =>
    t(`change.lung.${kind}`, { lung: t(`dictated.lung.${side}`), then: part(move.then), now: part(move.now) }));
}
