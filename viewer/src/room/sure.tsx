/** How sure one is, where a reading list asks for it: it counts once it was set. */
import { useEffect, useRef } from "preact/hooks";
import { t } from "../core/i18n";

export function Sure(props: { value: number | undefined; change: (value: number) => void; save: () => void }) {
  const slider = useRef<HTMLInputElement>(null);
  useEffect(() => slider.current?.focus({ preventScroll: true }), []);
  return (
    <label class="sure">
      <span>
        {t("verdict.sure")} <output>{props.value ?? "–"}</output>
      </span>
      <input
        ref={slider}
        type="range"
        min={0}
        max={100}
        step={5}
        value={props.value ?? 50}
        aria-valuetext={props.value === undefined ? t("verdict.sure.unset") : String(props.value)}
        onClick={(event) => props.change(event.currentTarget.valueAsNumber)}
        onInput={(event) => props.change(event.currentTarget.valueAsNumber)}
        onKeyDown={(event) => event.key === "Enter" && props.save()}
      />
    </label>
  );
}
