/** Drop films anywhere; a small panel shows what becomes of each. */
import { useLayoutEffect, useState } from "preact/hooks";
import { t, percent } from "../core/i18n";
import { told } from "../core/sentences";
import { may, say } from "../core/store";
import { busy, clearUploads, dropped, send, uploads, type Sent } from "../core/upload";

/** Take drops anywhere on the page. */
export function DropAnywhere() {
  const [over, setOver] = useState(false);
  useLayoutEffect(() => {
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const drag = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      if (!event.dataTransfer || !hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      if (!may("reviewer")) {
        say("bad", t("upload.not-allowed"));
        return;
      }
      void dropped(event.dataTransfer).then(send);
    };
    addEventListener("dragover", drag);
    addEventListener("dragleave", leave);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", drag);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", drop);
    };
  }, []);
  return over ? (
    <div class="drop-hint" aria-hidden="true">
      <span>{t("upload.drop")}</span>
    </div>
  ) : null;
}

export function UploadButton() {
  if (!may("reviewer")) return null;
  return (
    <label class="button primary upload-button">
      {t("upload.add")}
      <input
        type="file"
        multiple
        class="hidden-input"
        onChange={(event) => {
          send([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
        }}
      />
    </label>
  );
}

export function UploadPanel() {
  if (uploads.value.length === 0) return null;
  const done = uploads.value.filter((each) => !["waiting", "sending", "stored"].includes(each.state));
  return (
    <section class="uploads" aria-label={t("upload.title")}>
      <header>
        <h2>
          {t("upload.title")} {done.length} / {uploads.value.length}
        </h2>
        {!busy.value && (
          <button class="quiet" onClick={clearUploads} aria-label={t("close")}>
            ✕
          </button>
        )}
      </header>
      <ul tabIndex={0} aria-label={t("upload.title")}>
        {uploads.value.map((each) => (
          <Line key={each.id} sent={each} />
        ))}
      </ul>
    </section>
  );
}

function Line({ sent }: { sent: Sent }) {
  const name = sent.filmId ? <a href={`#/film/${sent.filmId}`}>{sent.name}</a> : sent.name;
  return (
    <li class={`upload-${sent.state}`}>
      <span class="name">{name}</span>
      <span class="state">
        {sent.state === "sending" ? percent(sent.share) : t(`upload.${sent.state}`)}
      </span>
      <progress value={sent.share} max={1} aria-label={sent.name} />
      {sent.detail && <small>{sent.detail}</small>}
      {sent.hint && <small class="soft">{t("hint", { hint: told(sent.hint) })}</small>}
    </li>
  );
}
