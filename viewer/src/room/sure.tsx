/** How sure one is, where a reading list asks for it: it counts once it was set, and never against the choice. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../core/i18n";
import type { Call } from "../core/types";

const MOVES = /^(Arrow|Page|Home|End)/;

export function Sure(props: {
  call: Call;
  value: number | undefined;
  change: (value: number) => void;
  save: () => void;
}) {
  const slider = useRef<HTMLInputElement>(null);
  const [least, most] = [props.call === "present" ? 50 : 0, props.call === "absent" ? 50 : 100];
  // before the next key, which may be an arrow
  useLayoutEffect(() => slider.current?.focus({ preventScroll: true }), []);
  return (
    <label class="sure">
      <span>
        {t("verdict.sure", { least, most })} <output>{props.value ?? "–"}</output>
      </span>
      <input
        ref={slider}
        type="range"
        min={least}
        max={most}
        step={5}
        value={props.value ?? 50}
        aria-valuetext={props.value === undefined ? t("verdict.sure.unset") : String(props.value)}
        onClick={(event) => props.change(event.currentTarget.valueAsNumber)}
        onInput={(event) => props.change(event.currentTarget.valueAsNumber)}
        onKeyUp={(event) => {
          // at an end nothing moves: what is shown is meant then
          if (props.value === undefined && MOVES.test(event.key)) props.change(event.currentTarget.valueAsNumber);
        }}
        onKeyDown={(event) => event.key === "Enter" && !event.repeat && props.save()}
      />
    </label>
  );
}
