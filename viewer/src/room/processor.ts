/**
 * The processor's renderer of cornerstone, made to take what the graphics card's takes.
 *
 * It refuses a VOI LUT function, which the magnifier hands over with the window, and it takes flips
 * by the camera alone.
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
}
