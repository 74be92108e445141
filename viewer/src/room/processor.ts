/**
 * The processor's renderer of cornerstone, made to take what the graphics card's takes.
 *
 * It refuses a VOI LUT function, which the magnifier hands over with the window, and it takes flips
 * by the camera alone. Its arithmetic is that of a canvas with the pixels of the screen, but it gives
 * its canvas CSS pixels, and it takes the height of a row for the finer side of a pixel.
 */
import { Enums, eventTarget, getEnabledElementByIds, type Types } from "@cornerstonejs/core";

export function mendViewports(): void {
  eventTarget.addEventListener(Enums.Events.ELEMENT_ENABLED, (event: Types.EventTypes.ElementEnabledEvent) => {
    const { viewportId, renderingEngineId } = event.detail;
    const enabled = getEnabledElementByIds(viewportId, renderingEngineId);
    if (enabled) mend(enabled.viewport as Types.IStackViewport);
  });
}

function mend(viewport: Types.IStackViewport): void {
  const setProperties = viewport.setProperties.bind(viewport);
  viewport.setProperties = ({ VOILUTFunction: _, ...properties } = {}, ...rest) =>
    setProperties(properties, ...rest);
  const setViewPresentation = viewport.setViewPresentation.bind(viewport);
  viewport.setViewPresentation = ({ flipHorizontal, flipVertical, ...view }) => {
    setViewPresentation(view);
    if (flipHorizontal !== undefined || flipVertical !== undefined) {
      viewport.setCamera({ flipHorizontal, flipVertical });
    }
  };
  const setCamera = viewport.setCamera.bind(viewport);
  viewport.setCamera = ({ parallelScale, ...camera }, ...rest) =>
    setCamera(parallelScale ? { scale: scaleFor(viewport, parallelScale), ...camera } : camera, ...rest);
  viewport.resize = () => sizeCanvas(viewport.canvas);
  sizeCanvas(viewport.canvas);
}

/** One pixel of the canvas for each of the screen, as the graphics card's renderer has it. */
function sizeCanvas(canvas: HTMLCanvasElement): void {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width === width && canvas.height === height) return;
  canvas.width = width;
  canvas.height = height;
}

/** Pixels of the canvas for the finer side of a film pixel, where half its height shows so much of the world. */
function scaleFor(viewport: Types.IStackViewport, parallelScale: number): number {
  const { rowPixelSpacing = 1, columnPixelSpacing = 1 } = viewport.getCornerstoneImage() ?? {};
  return (viewport.canvas.height * Math.min(rowPixelSpacing, columnPixelSpacing)) / (2 * parallelScale);
}
