/** Every key, in one dialog. */
import { t, type Key } from "../core/i18n";
import { Dialog } from "./ui";

const GROUPS: readonly [Key, readonly [string, Key][]][] = [
  [
    "help.everywhere",
    [
      ["?", "key.help"],
      ["g", "key.worklist"],
      ["Esc", "key.close"],
    ],
  ],
  [
    "help.worklist",
    [
      ["j  k", "key.next"],
      ["Enter  o", "key.open"],
      ["h", "key.open-heatmap"],
      ["/", "key.search"],
    ],
  ],
  [
    "help.film",
    [
      ["j  k", "key.next"],
      ["h", "key.heatmap"],
      ["o", "key.overlays"],
      ["1  2  3", "key.verdict"],
      ["Enter", "key.save-verdict"],
      ["u", "key.undo"],
      ["t", "key.report"],
      ["w  p  z  m", "key.mouse"],
      ["l  e  b  c", "key.measure"],
      ["i  r  Shift+r", "key.turn"],
      ["x  y", "key.flip"],
      ["+  -", "key.zoom"],
      ["← → ↑ ↓", "key.pan"],
      ["Shift+← → ↑ ↓", "key.window"],
      ["a", "key.presets"],
      ["0", "key.reset"],
      ["f", "key.one-to-one"],
      ["s", "key.full-screen"],
    ],
  ],
];

export function Help({ close }: { close: () => void }) {
  return (
    <Dialog title={t("help.title")} close={close}>
      <div class="help">
        {GROUPS.map(([title, keys]) => (
          <section key={title}>
            <h3>{t(title)}</h3>
            <dl>
              {keys.map(([key, text]) => (
                <div key={key}>
                  <dt>
                    {key.split("  ").map((one) => (
                      <kbd key={one}>{one}</kbd>
                    ))}
                  </dt>
                  <dd>{t(text)}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
