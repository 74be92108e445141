import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

/** A line of cornerstone's, replaced; the build ends where cornerstone has changed it. */
function mended(file: string, before: string, after: string): Plugin {
  return {
    name: `mended ${file}`,
    transform(code, id) {
      if (!id.endsWith(file)) return null;
      if (!code.includes(before)) throw new Error(`${id}: cornerstone changed; look at vite.config.ts`);
      return code.replace(before, after);
    },
  };
}

/**
 * cornerstone writes the style of a measurement's text as an attribute, which a Content-Security-
 * Policy without 'unsafe-inline' refuses; the same text set through CSSOM is allowed.
 */
const strictStyles = mended(
  "drawingSvg/drawTextBox.js",
  "textElement.setAttribute('style', combinedStyle);",
  "textElement.style.cssText = combinedStyle;",
);

/**
 * cornerstone's renderer on the processor reads a whole white canvas back for each film that it
 * opens; where the browser keeps canvases with its software for a graphics card that takes longer
 * than all the rest. The same white is made at once.
 */
const whiteAtOnce = mended(
  "rendering/initializeRenderCanvas.js",
  "canvasContext.getImageData(0, 0, image.width, image.height);",
  "canvasContext.createImageData(image.width, image.height);\n    renderCanvasData.data.fill(255);",
);

export default defineConfig({
  base: "./",
  plugins: [strictStyles, whiteAtOnce],
  // XML meshes drag in node's own libraries, which a browser has not
  resolve: { alias: { xmlbuilder2: fileURLToPath(new URL("./src/absent.ts", import.meta.url)) } },
  worker: { format: "es" },
  build: {
    outDir: "../src/hilum/apps/web/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    sourcemap: false,
    target: "es2023",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 6000,
    reportCompressedSize: false,
  },
});
