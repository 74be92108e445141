/** Where the sign is and how much of it: affected shares by zone, severity with its range. */
import { named, number, part, t } from "../core/i18n";
import type { Affected, Reading, Severity } from "../core/types";

export function Where({ reading }: { reading: Reading }) {
  const details = reading.details;
  const both = details?.affected.find(({ side }) => side === null);
  if (!details || (!both && details.severity.length === 0)) return null;
  return (
    <section class="where" aria-label={t("where")}>
      <h3>{t("where")}</h3>
      {both && (
        <>
          <p class="affected">
            <b>{part(both.share)}</b> {t("affected.both")}
            <span class="soft">
              {Object.entries(both.kinds)
                .filter(([, share]) => share > 0)
                .map(([kind, share]) => ` · ${named("opacity", kind)} ${part(share)}`)}
            </span>
          </p>
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
        {named("severity", severity.scale)} <b>{number(value, 1)}</b>{" "}
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
