/** A switch and an opacity for every overlay that the film has; the legend of the heatmap. */
import { number, t } from "../core/i18n";
import { Choice, labelName, Switch } from "../parts/ui";
import { COLORS, DASHES, hidden, OVERLAYS, show, shown, type Heat, type OverlayName } from "./layers";

export function OverlayPanel(props: {
  /** Null while it is not known yet. */
  offered: Record<OverlayName, boolean> | null;
  heat: Heat | null;
  labels: readonly string[];
  label: string;
  choose: (label: string) => void;
}) {
  const names = OVERLAYS.filter((name) => props.offered?.[name]);
  return (
    <section class="overlay-panel" aria-label={t("overlays")}>
      <h2>{t("overlays")}</h2>
      {props.offered && names.length === 0 && <p class="soft">{t("overlays.none")}</p>}
      {names.map((name) => (
        <div key={name} class="overlay-line">
          <Switch
            label={t(`overlay.${name}`)}
            on={shown.value[name].on && !hidden.value}
            change={(on) => show(name, { on })}
          />
          <input
            type="range"
            min={0.1}
            max={1}
            step={0.05}
            value={shown.value[name].opacity}
            aria-label={t("overlay.opacity", { name: t(`overlay.${name}`) })}
            onInput={(event) => show(name, { opacity: event.currentTarget.valueAsNumber })}
          />
        </div>
      ))}
      {props.offered?.heatmap && props.labels.length > 1 && (
        <Choice
          label={t("overlay.heatmap.of")}
          value={props.label}
          options={props.labels.map((label) => [label, labelName(label)] as const)}
          change={props.choose}
        />
      )}
      {props.heat && shown.value.heatmap.on && <Legend heat={props.heat} />}
      {props.offered?.lesions && shown.value.lesions.on && <Kinds />}
    </section>
  );
}

function Legend({ heat }: { heat: Heat }) {
  const { limit, label } = heat.info;
  return (
    <figure class="legend">
      <figcaption>{t("legend.title", { label: labelName(label) })}</figcaption>
      <div class="ramp" aria-hidden="true" />
      <div class="ends">
        <span>
          −{number(limit, limit < 1 ? 1 : 0)} {t("legend.against")}
        </span>
        <span>0</span>
        <span>
          {t("legend.for")} +{number(limit, limit < 1 ? 1 : 0)}
        </span>
      </div>
      <small class="soft">{t("legend.explained")}</small>
    </figure>
  );
}

function Kinds() {
  return (
    <ul class="kinds">
      {(["ground-glass", "consolidation"] as const).map((kind) => (
        <li key={kind}>
          <svg width="30" height="14" aria-hidden="true">
            <rect width="30" height="14" rx="3" fill={COLORS[kind]} fill-opacity="0.3" />
            <line x1="1" x2="29" y1="7" y2="7" stroke={COLORS[kind]} stroke-width="3" stroke-dasharray={DASHES[kind].join()} />
          </svg>{" "}
          {t(`dictated.kind.${kind}`)}
        </li>
      ))}
    </ul>
  );
}
