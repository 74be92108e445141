/** Toolbar: what the mouse does, how the film lies, its window. */
import { useLayoutEffect, useState } from "preact/hooks";
import { knows, named, t, type Key } from "../core/i18n";
import { may } from "../core/store";
import { Choice, Field } from "../parts/ui";
import type { FilmView } from "./filmview";
import { Icon, type IconName } from "./icons";
import type { ToolName } from "./tools";

const MOUSE: readonly [ToolName, string][] = [
  ["window", "w"],
  ["pan", "p"],
  ["zoom", "z"],
  ["magnify", "m"],
  ["length", "l"],
  ["ruler", "c"],
  ["region", "e"],
  ["mark", "b"],
];

export type ActionName =
  | "invert" | "rotate" | "rotate-back" | "flip-x" | "flip-y" | "fit" | "one" | "reset" | "screen"
  | "clear" | "compare";

const ACTIONS: readonly [ActionName, string][] = [
  ["invert", "i"],
  ["rotate", "r"],
  ["rotate-back", "Shift+r"],
  ["flip-x", "x"],
  ["flip-y", "y"],
  ["fit", "0"],
  ["one", "f"],
  ["reset", "Backspace"],
  ["screen", "s"],
  ["clear", "Delete"],
];

/** Do something to a view; the keys and the buttons both come here. */
export function act(view: FilmView, action: ActionName): void {
  switch (action) {
    case "invert": return view.invert();
    case "rotate": return view.rotate(90);
    case "rotate-back": return view.rotate(-90);
    case "flip-x": return view.flip("x");
    case "flip-y": return view.flip("y");
    case "fit": return view.fit();
    case "one": return view.oneToOne();
    case "reset": return view.reset();
    case "clear": return view.clearAnnotations();
    case "screen": return void fullScreen(view);
    case "compare": return;
  }
}

async function fullScreen(view: FilmView): Promise<void> {
  if (document.fullscreenElement) return document.exitFullscreen();
  return view.element.closest(".stages")?.requestFullscreen();
}

export function Toolbar(props: {
  view: FilmView | null;
  tool: ToolName;
  choose: (tool: ToolName) => void;
  act: (action: ActionName) => void;
}) {
  return (
    <div class="toolbar" role="toolbar" aria-label={t("tools")}>
      <div class="tool-grid">
        {MOUSE.map(([name, key]) => (
          <Tool
            key={name}
            icon={name}
            text={`tool.${name}` as Key}
            shortcut={key}
            disabled={name === "ruler" && !may("reviewer")}
            pressed={props.tool === name}
            click={() => props.choose(name)}
          />
        ))}
      </div>
      <div class="tool-grid">
        {ACTIONS.map(([name, key]) => (
          <Tool
            key={name}
            icon={name}
            text={`tool.${name}` as Key}
            shortcut={key}
            disabled={!props.view}
            click={() => props.act(name)}
          />
        ))}
      </div>
      {props.view && <WindowControl view={props.view} />}
    </div>
  );
}

function Tool(props: {
  icon: IconName;
  text: Key;
  shortcut: string;
  pressed?: boolean;
  disabled?: boolean;
  click: () => void;
}) {
  const text = t(props.text);
  return (
    <button
      class="tool"
      aria-label={text}
      title={`${text} (${props.shortcut})`}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      onClick={props.click}
    >
      <Icon name={props.icon} />
    </button>
  );
}

/** "film-2" is the second window of the file itself; names that the file gave stay as they are. */
function presetName(name: string): string {
  const further = /^film-(\d+)$/.exec(name);
  if (further) return `${t("preset.film")} ${further[1]}`;
  return knows("preset", name) ? named("preset", name) : name;
}

function WindowControl({ view }: { view: FilmView }) {
  const [state, setState] = useState(view.state());
  useLayoutEffect(() => view.onChange(() => setState(view.state())), [view]);
  const { presets } = view.film;
  const near = presets.find(
    (each) => Math.abs(each.center - state.center) < 1 && Math.abs(each.width - state.width) < 1,
  );
  const set = (center: number, width: number) => {
    if (Number.isFinite(center) && width >= 1) view.setWindow(center, width);
  };
  return (
    <div class="window-control">
      <Choice
        label={t("window.preset")}
        value={near?.name ?? ""}
        options={[
          ...(near ? [] : [["", t("window.own")] as const]),
          ...presets.map((each) => [each.name, presetName(each.name)] as const),
        ]}
        change={(name) => {
          const preset = presets.find((each) => each.name === name);
          if (preset) view.setWindow(preset.center, preset.width);
        }}
      />
      <div class="two">
        <Field label={t("window.center")}>
          <input
            type="number"
            value={Math.round(state.center)}
            onChange={(event) => set(event.currentTarget.valueAsNumber, state.width)}
          />
        </Field>
        <Field label={t("window.width")}>
          <input
            type="number"
            min={1}
            value={Math.round(state.width)}
            onChange={(event) => set(state.center, event.currentTarget.valueAsNumber)}
          />
        </Field>
      </div>
    </div>
  );
}
