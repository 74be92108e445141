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

export default defineConfig({
  base: "./",
  plugins: [strictStyles()],
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
