/** Tools: which cornerstone tools the mouse has, and how cornerstone is started. */
import { getRenderingCapabilities, init as initCore } from "@cornerstonejs/core";
import {
  addTool,
  annotation,
  EllipticalROITool,
  Enums,
  init as initTools,
  LengthTool,
  MagnifyTool,
  PanTool,
  RectangleROITool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
} from "@cornerstonejs/tools";
import { number, t } from "../core/i18n";
import { filmOf, registerFilms } from "./loader";
import { mendViewports } from "./processor";
import { lengthUnit } from "./units";

export const MARK = "Mark";
export const RULER = "Ruler";
export type ToolName = "window" | "pan" | "zoom" | "magnify" | "length" | "ruler" | "region" | "mark";

/** A rectangle that a reviewer leaves on the film, beside a verdict. */
class MarkTool extends RectangleROITool {
  static override toolName = MARK;
}

/** A line over an object of known length. */
class RulerTool extends LengthTool {
  static override toolName = RULER;
}

const NAMES: Record<ToolName, string> = {
  window: WindowLevelTool.toolName,
  pan: PanTool.toolName,
  zoom: ZoomTool.toolName,
  magnify: MagnifyTool.toolName,
  length: LengthTool.toolName,
  ruler: RULER,
  region: EllipticalROITool.toolName,
  mark: MARK,
};

let started: Promise<void> | null = null;

/**
 * Start cornerstone, once.
 *
 * It draws on the processor where there is no WebGL, or where WebGL runs on the processor itself
 * (a virtual desktop): that takes longer to start and draws no faster. `?cpu` and `?webgl` choose.
 */
export function startCornerstone(): Promise<void> {
  started ??= start();
  return started;
}

async function start(): Promise<void> {
  const asked = new URLSearchParams(location.search);
  const { webgl2, softwareRasterizer } = getRenderingCapabilities();
  const useCPURendering = asked.has("cpu") || !webgl2 || (softwareRasterizer && !asked.has("webgl"));
  initCore({
    rendering: { useCPURendering, webGlContextCount: 2 },
    debug: {},
  });
  if (useCPURendering) mendViewports();
  initTools();
  registerFilms();
  for (const tool of [
    WindowLevelTool, PanTool, ZoomTool, MagnifyTool, LengthTool, RulerTool, EllipticalROITool, MarkTool,
  ]) {
    addTool(tool);
  }
  const style = annotation.config.style;
  const known = style.getDefaultToolStyles();
  style.setDefaultToolStyles({
    ...known,
    global: {
      ...known.global,
      color: "rgb(255, 220, 90)",
      colorHighlighted: "rgb(255, 255, 255)",
      colorSelected: "rgb(255, 255, 255)",
      lineWidth: "1.5",
      textBoxFontFamily: "system-ui, sans-serif",
      textBoxFontSize: "14px",
      textBoxColor: "rgb(255, 220, 90)",
      textBoxBackground: "rgba(0, 0, 0, 0.6)",
    },
  });
}

/** A tool group of its own for each view, so that two films side by side keep their tools. */
export function newToolGroup(id: string) {
  const group = ToolGroupManager.createToolGroup(id);
  if (!group) throw new Error(`tool group ${id} exists`);
  for (const name of Object.values(NAMES)) {
    if (name === EllipticalROITool.toolName) group.addTool(name, { getTextLines: regionLines });
    else if (name === LengthTool.toolName) group.addTool(name, { getTextLines: lengthLines });
    else if (name === RULER) group.addTool(name, { getTextLines: () => [] });
    else if (name === MARK) group.addTool(name, { getTextLines: () => [], calculateStats: false });
    else group.addTool(name);
  }
  bindMouse(id, "window");
  return group;
}

const MAGNIFIED = 2.5;
const LENS = 250;

/** cornerstone measures its lens by the height of the film's element, in CSS pixels: tell it. */
export function sizeLens(id: string, height: number): void {
  const lens = { magnifyWidth: LENS, magnifyHeight: LENS, magnifySize: (MAGNIFIED * height) / LENS };
  ToolGroupManager.getToolGroup(id)?.setToolConfiguration(MagnifyTool.toolName, lens);
}

/** The left button is the chosen tool; the middle one pans, the right one and the wheel zoom. */
export function bindMouse(id: string, chosen: ToolName): void {
  const group = ToolGroupManager.getToolGroup(id);
  if (!group) return;
  const { Primary, Auxiliary, Secondary, Wheel } = Enums.MouseBindings;
  for (const [tool, name] of Object.entries(NAMES) as [ToolName, string][]) {
    const bindings: { mouseButton: number }[] = [];
    if (tool === chosen) bindings.push({ mouseButton: Primary });
    if (tool === "pan") bindings.push({ mouseButton: Auxiliary });
    if (tool === "zoom") bindings.push({ mouseButton: Secondary }, { mouseButton: Wheel });
    if (bindings.length) group.setToolActive(name, { bindings });
    else group.setToolPassive(name, { removeAllBindings: true });
  }
}

interface Stats {
  length?: number;
  area?: number;
  mean?: number;
  stdDev?: number;
  min?: number;
  max?: number;
}
interface Drawn {
  cachedStats: Record<string, Stats>;
}

/** The unit of what was drawn on the film that cornerstone names so. */
const unitOn = (target: string, squared = false): string => {
  const film = filmOf(target);
  return film ? lengthUnit(film, squared) : "";
};

function lengthLines(data: Drawn, target: string): string[] {
  const { length } = data.cachedStats[target] ?? {};
  return length === undefined || length === null ? [] : [`${number(length, 1)} ${unitOn(target)}`];
}

function regionLines(data: Drawn, target: string): string[] {
  const { area, mean, stdDev, min, max } = data.cachedStats[target] ?? {};
  if (area === undefined || mean === undefined) return [];
  return [
    `${t("region.area")} ${number(area, 0)} ${unitOn(target, true)}`,
    `${t("region.mean")} ${number(mean, 0)} \u00b1 ${number(stdDev ?? NaN, 0)}`,
    `${t("region.range")} ${number(min ?? NaN, 0)} \u2013 ${number(max ?? NaN, 0)}`,
  ];
}
