/** Report: prefilled by the server, edited by a person, every version kept. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api, OBJECTS, REASONS, type ObjectKind, type Reason } from "../core/api";
import { date, language, t } from "../core/i18n";
import { unkept } from "../core/leave";
import { asApiError, complain, may, say } from "../core/store";
import type { ReportAnswer, ReportDraft, SentTo } from "../core/types";
import { Choice, Field, Loading, Trouble } from "../parts/ui";
import { handOver, useLoad } from "../parts/use";
import { operatingPoint, prevalence } from "./result";

const PARTS = [
  ["title", 1],
  ["indication", 2],
  ["technique", 2],
  ["comparison", 2],
  ["findings", 6],
  ["impression", 6],
] as const;

/** A text, and the newest version that its author had seen when it was begun, saved or refused. */
type Begun = ReportDraft & { seen: number };

/** What was typed and not saved yet, kept while the page is open. */
const unsaved = new Map<string, Begun>();

/** `writing`: somebody asked by a key to write; `begun` once the text has the keyboard, or there is none. */
export function ReportPanel(props: {
  filmId: string;
  archive: boolean;
  saved: () => void;
  writing: boolean;
  begun: () => void;
}) {
  const { filmId, saved, writing, begun } = props;
  const form = useRef<HTMLFormElement>(null);
  const versions = useLoad(() => api.reports(filmId), [filmId]);
  const [text, setText] = useState<Begun | null>(unsaved.get(filmId) ?? null);
  const [busy, setBusy] = useState(false);

  // the text says what the page beside it says
  const restated = { prevalence: prevalence.value, operating_point: operatingPoint.value || null };

  const begin = async (from: ReportAnswer | null) => {
    // an own version may not be in the list yet
    const seen = Math.max(text?.seen ?? 0, versions.value?.[0]?.version ?? 0);
    try {
      const words = from ? textOf(from) : await api.draft(filmId, { language: language.value, ...restated });
      setText({ ...words, seen });
    } catch (error) {
      complain(error);
      begun();
    }
  };
  useEffect(() => {
    if (!text && versions.value && may("reviewer")) void begin(versions.value[0] ?? null);
  }, [versions.value]);

  useEffect(() => {
    if (!writing || !(text || versions.error)) return;
    form.current?.querySelector("textarea")?.focus();
    begun();
  }, [writing, text === null, versions.error]);

  const change = (part: keyof ReportDraft, value: string) => {
    if (!text) return;
    const changed = { ...text, [part]: value };
    unsaved.set(filmId, changed);
    unkept.add(`report ${filmId}`);
    setText(changed);
  };
  const raise = (seen: number) => {
    const kept = unsaved.get(filmId);
    if (kept) unsaved.set(filmId, { ...kept, seen });
    setText((now) => now && { ...now, seen });
  };
  const save = async (sign: boolean) => {
    if (!text) return;
    const taken = unsaved.get(filmId);
    setBusy(true);
    try {
      const report = await api.saveReport(filmId, { ...text, sign });
      const isBehind = unsaved.get(filmId) !== taken; // typed while it was being saved: not in this version
      if (!isBehind) {
        unsaved.delete(filmId);
        unkept.delete(`report ${filmId}`);
      }
      raise(report.version);
      say("good", t(sign ? "report.signed" : "report.saved", { version: report.version }));
      if (isBehind) say("bad", t("report.typed-since"));
      versions.reload();
      saved();
    } catch (error) {
      complain(error);
      if (asApiError(error).code === "conflict") {
        // what somebody else has written
        await api.reports(filmId).then((found) => {
          versions.set(found);
          raise(found[0]?.version ?? 0);
        }, complain);
      }
    } finally {
      setBusy(false);
    }
  };

  if (versions.error) return <Trouble error={versions.error} again={versions.reload} />;
  if (!versions.value) return <Loading />;
  return (
    <div class="report">
      <Versions versions={versions.value} begin={(from) => void begin(from)} />
      {may("reviewer") && text && (
        <form
          ref={form}
          onKeyDown={byKey}
          onSubmit={(event) => {
            event.preventDefault(); // Enter in the title, too: a draft, never a signature
            void save(false);
          }}
        >
          {PARTS.map(([part, rows]) => (
            <Field key={part} label={t(`report.${part}`)}>
              {rows === 1 ? (
                <input value={text[part]} required onInput={(e) => change(part, e.currentTarget.value)} />
              ) : (
                <textarea rows={rows} value={text[part]} onInput={(e) => change(part, e.currentTarget.value)} />
              )}
            </Field>
          ))}
          <p class="actions">
            <button
              type="button"
              class="primary"
              disabled={busy}
              onClick={() => form.current?.reportValidity() && void save(true)}
            >
              {t(versions.value.some(({ state }) => state !== "draft") ? "report.sign-amended" : "report.sign")}
            </button>
            <button disabled={busy}>{t("report.save")}</button>
            <button type="button" onClick={() => void begin(null)}>
              {t("report.draft")}
            </button>
          </p>
        </form>
      )}
      {props.archive && <Objects filmId={filmId} />}
      <Archive filmId={filmId} />
    </div>
  );
}

/** The keys of who writes: done, and back to the film. */
function byKey(event: KeyboardEvent): void {
  const form = event.currentTarget as HTMLFormElement;
  const signs = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (signs) {
    event.preventDefault(); // or it would save a draft as well
    form.querySelector<HTMLButtonElement>("button.primary")?.click();
  }
  if (signs || event.key === "Escape") (document.activeElement as HTMLElement | null)?.blur();
}

/** The reading as files for an archive: a film of a study, and read. */
function Objects({ filmId }: { filmId: string }) {
  const [busy, setBusy] = useState(false);
  const take = async (kind: ObjectKind) => {
    setBusy(true);
    try {
      handOver(await api.object(filmId, kind), `${filmId}.${kind}.dcm`);
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="objects" aria-label={t("objects")}>
      <h3>{t("objects")}</h3>
      <p class="soft">{t("objects.explained")}</p>
      <p class="actions">
        {OBJECTS.map((kind) => (
          <button key={kind} disabled={busy} title={t(`objects.${kind}`)} onClick={() => void take(kind)}>
            {kind.toUpperCase()}
          </button>
        ))}
      </p>
    </section>
  );
}

/** What archives were sent of the film, and taking it back: they are sent a rejection note. */
function Archive({ filmId }: { filmId: string }) {
  const sent = useLoad(() => api.sent(filmId), [filmId]);
  const [reason, setReason] = useState<Reason>("quality");
  const [busy, setBusy] = useState(false);
  const { items = [], taking_back: going = false } = sent.value ?? {};
  if (items.length === 0) return null;
  const takeBack = async () => {
    if (!confirm(t("sent.sure"))) return;
    setBusy(true);
    try {
      await api.retract(filmId, reason);
      say("good", t("sent.ordered"));
      sent.reload();
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  };
  const left = items.some(({ has, waiting, dead }) => has + waiting + dead > 0) && !going;
  return (
    <section class="objects" aria-label={t("sent")}>
      <h3>{t("sent")}</h3>
      <ul>
        {items.map((row) => (
          <li key={row.peer}>
            <b>{row.peer}</b>: {statesOf(row).join("; ")}
            {row.last_sent && <span class="soft">, {date(row.last_sent)}</span>}
          </li>
        ))}
      </ul>
      {going && <p role="status">{t("sent.going")}</p>}
      {left && may("reviewer") && (
        <div class="actions">
          <Choice
            label={t("sent.why")}
            value={reason}
            options={REASONS.map((each) => [each, t(`sent.${each}`)] as const)}
            change={setReason}
          />
          <button class="danger" disabled={busy} onClick={() => void takeBack()}>
            {t("sent.back")}
          </button>
        </div>
      )}
    </section>
  );
}

const statesOf = (row: SentTo): string[] =>
  (["has", "waiting", "dead", "taken_back"] as const)
    .filter((state) => row[state] > 0)
    .map((state) => t(`sent.${state}`, { count: row[state] }));

const textOf = ({ title, indication, technique, comparison, findings, impression, language: spoken }: ReportAnswer) => ({
  title, indication, technique, comparison, findings, impression, language: spoken,
});

function Versions(props: { versions: readonly ReportAnswer[]; begin: (from: ReportAnswer) => void }) {
  if (props.versions.length === 0) return <p class="soft">{t("report.none")}</p>;
  return (
    <ul class="versions">
      {props.versions.map((report) => (
        <li key={report.report_id}>
          <b>{t("report.version", { version: report.version })}</b>{" "}
          <span class={report.state === "draft" ? "tag" : "tag good"}>{t(`report.${report.state}.tag`)}</span>{" "}
          <span class="soft">
            {report.by}, {date(report.at)}
            {report.replaces && `, ${t("report.replaces", { version: report.replaces })}`}
          </span>
          <span class="links">
            <a href={api.reportAddress(report.report_id, "pdf")} target="_blank" rel="noopener">
              PDF
            </a>
            <a href={api.reportAddress(report.report_id, "html")} target="_blank" rel="noopener">
              HTML
            </a>
            {may("reviewer") && (
              <button class="quiet" onClick={() => props.begin(report)}>
                {t("report.from")}
              </button>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}
