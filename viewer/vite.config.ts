import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

/**
 * cornerstone writes the style of a measurement's text as an attribute, which a Content-Security-
 * Policy without 'unsafe-inline' refuses; the same text set through CSSOM is allowed.
 */
function strictStyles(): Plugin {
  const before = "textElement.setAttribute('style', combinedStyle);";
  return {
    name: "strict-styles",
    transform(code, id) {
      if (!id.endsWith("drawingSvg/drawTextBox.js")) return null;
      if (!code.includes(before)) throw new Error(`${id}: cornerstone changed; look at strictStyles`);
      return code.replace(before, "textElement.style.cssText = combinedStyle;");
    },
  };
}

/**
 * cornerstone's renderer on the processor reads a whole white canvas back for each film that it
 * opens; where the browser keeps canvases with its software for a graphics card that takes longer
 * than all the rest. The same white is made at once.
 */
function whiteAtOnce(): Plugin {
  const before = "canvasContext.getImageData(0, 0, image.width, image.height);";
  return {
    name: "white-at-once",
    transform(code, id) {
      if (!id.endsWith("rendering/initializeRenderCanvas.js")) return null;
      if (!code.includes(before)) throw new Error(`${id}: cornerstone changed; look at whiteAtOnce`);
      return code.replace(before, "canvasContext.createImageData(image.width, image.height);\n"
        + "    renderCanvasData.data.fill(255);");
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [strictStyles(), whiteAtOnce()],
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
