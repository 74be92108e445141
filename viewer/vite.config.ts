import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

/** Lines of cornerstone's, replaced; the build ends where cornerstone has changed them. */
function mended(file: string, before: string, after: string, first = ""): Plugin {
  return {
    name: `mended ${file}`,
    transform(code, id) {
      if (!id.endsWith(file)) return null;
      if (!code.includes(before)) throw new Error(`${id}: cornerstone changed; look at vite.config.ts`);
      return first + code.replace(before, after);
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
 * cornerstone's renderer on the processor paints a canvas white for each film that it opens, and reads
 * it back, which takes longer than all the rest; the same white is kept instead.
 */
const whiteAtOnce = mended(
  "rendering/initializeRenderCanvas.js",
  `canvasContext.fillStyle = 'white';
    canvasContext.fillRect(0, 0, renderCanvas.width, renderCanvas.height);
    const renderCanvasData = canvasContext.getImageData(0, 0, image.width, image.height);`,
  "const renderCanvasData = white(image.width, image.height);",
  `import { white } from ${JSON.stringify(fileURLToPath(new URL("./src/room/white.ts", import.meta.url)))};\n`,
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
