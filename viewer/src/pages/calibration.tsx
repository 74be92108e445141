/** Calibration to this site: what it would change, with intervals; confirm; take it back. */
import { useState } from "preact/hooks";
import { api } from "../core/api";
import { knows, named, t } from "../core/i18n";
import { told } from "../core/sentences";
import { complain, say, whoAmI } from "../core/store";
import type { CalibrationAnswer, CandidateAnswer, LabelAdaptation, Source } from "../core/types";
import { BeforeAfter } from "../parts/charts";
import { Choice, Dialog, Field, Interval, labelName, Loading, Page, Switch, Trouble } from "../parts/ui";
import { useLoad } from "../parts/use";

export function CalibrationPage() {
  const found = useLoad(() => api.calibration(), []);
  const [sure, setSure] = useState<CandidateAnswer | "undo" | null>(null);
  const changed = async (work: Promise<unknown>, text: string) => {
    try {
      await work;
      say("good", text);
      found.reload();
      await whoAmI();
    } catch (error) {
      complain(error);
    }
  };
  if (found.error) return <Page title="nav.calibration"><Trouble error={found.error} again={found.reload} /></Page>;
  if (!found.value) return <Page title="nav.calibration"><Loading /></Page>;
  const { active, previous, candidates } = found.value;
  return (
    <Page title="nav.calibration" intro="calibration.intro">
      <section class="card">
        <h2>{t("calibration.now")}</h2>
        <p>
          <b>{active?.identity ?? "–"}</b>{" "}
          {active?.adaptation
            ? t("site.calibrated", { site: active.adaptation.site })
            : t("site.not-calibrated")}
        </p>
        {previous && (
          <p>
            {t("calibration.before", { identity: before(previous, candidates) })}{" "}
            <button onClick={() => setSure("undo")}>{t("calibration.undo")}</button>
          </p>
        )}
      </section>
      <Available of={found.value} reload={found.reload} />
      {candidates.map((candidate) => (
        <Proposed
          key={candidate.candidate_id}
          candidate={candidate}
          active={candidate.candidate_id === active?.candidate_id}
          apply={() => setSure(candidate)}
        />
      ))}
      {sure && (
        <Dialog title={t("calibration.sure")} close={() => setSure(null)}>
          <p>
            {sure === "undo"
              ? t("calibration.sure.undo", { identity: before(previous, candidates) })
              : t("calibration.sure.apply", { identity: sure.identity })}
          </p>
          <p class="actions">
            <button
              class="primary"
              onClick={() => {
                const chosen = sure;
                setSure(null);
                void (chosen === "undo"
                  ? changed(api.undoCalibration(), t("calibration.undone"))
                  : changed(api.applyCalibration(chosen.candidate_id ?? ""), t("calibration.applied")));
              }}
            >
              {t(sure === "undo" ? "calibration.undo" : "calibration.apply")}
            </button>
            <button onClick={() => setSure(null)}>{t("cancel")}</button>
          </p>
        </Dialog>
      )}
    </Page>
  );
}

/** What an undo brings back. */
function before(previous: CalibrationAnswer["previous"], candidates: readonly CandidateAnswer[]): string {
  const found = candidates.find((each) => each.candidate_id === previous?.candidate_id);
  return found?.identity ?? t("calibration.base");
}

function Available({ of, reload }: { of: CalibrationAnswer; reload: () => void }) {
  const [site, setSite] = useState("");
  const [source, setSource] = useState<Source>("reference");
  const [allowed, allow] = useState(false);
  const [busy, setBusy] = useState(false);
  const preview = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await api.previewCalibration(site, source, allowed);
      reload();
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="card">
      <h2>{t("calibration.available")}</h2>
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">{t("worklist.finding")}</th>
            <th scope="col" class="num">{t("calibration.positives")}</th>
            <th scope="col" class="num">{t("calibration.negatives")}</th>
            <th scope="col" class="num">{t("calibration.needed")}</th>
            <th scope="col">{t("calibration.enough")}</th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(of.available[source] ?? {}).map(([label, { positives, negatives, needed }]) => (
            <tr key={label}>
              <th scope="row">{labelName(label)}</th>
              <td class="num" data-name={t("calibration.positives")}>{positives}</td>
              <td class="num" data-name={t("calibration.negatives")}>{negatives}</td>
              <td class="num" data-name={t("calibration.needed")}>{needed}</td>
              <td data-name={t("calibration.enough")}>{t(Math.min(positives, negatives) >= needed ? "yes" : "no")}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {of.lists_left_out && <p>{t("calibration.lists-left-out")}</p>}
      <form class="filters" onSubmit={(event) => void preview(event)}>
        <Field label={t("calibration.site")}>
          <input required value={site} onInput={(event) => setSite(event.currentTarget.value)} />
        </Field>
        <Choice<Source>
          label={t("calibration.source")}
          value={source}
          options={[
            ["reference", t("calibration.source.reference")],
            ["verdicts", t("calibration.source.verdicts")],
          ]}
          change={setSource}
        />
        <Switch label={t("calibration.allow-seen")} on={allowed} change={allow} />
        <button class="primary" disabled={busy}>
          {t(busy ? "calibration.working" : "calibration.preview")}
        </button>
      </form>
    </section>
  );
}

function Proposed(props: { candidate: CandidateAnswer; active: boolean; apply: () => void }) {
  const { candidate, active } = props;
  const { adaptation } = candidate;
  if (!adaptation) return null;
  return (
    <section class="card">
      <h2>
        {adaptation.site} {active && <span class="tag good">{t("calibration.active")}</span>}
      </h2>
      <p class="soft">
        {t("calibration.from", { films: adaptation.films, patients: adaptation.patients })},{" "}
        {adaptation.created}. {told(adaptation.leak_check)}
      </p>
      {adaptation.labels.map((label) => (
        <Measures key={label.label} of={label} />
      ))}
      {Object.entries(adaptation.kept).map(([label, why]) => (
        <p key={label} class="warn-line">
          {t("calibration.kept", { label: labelName(label), why: told(why) })}
        </p>
      ))}
      {!active && (
        <button class="primary" onClick={props.apply}>
          {t("calibration.apply")}
        </button>
      )}
    </section>
  );
}

function Measures({ of }: { of: LabelAdaptation }) {
  const names = [...new Set([...Object.keys(of.before), ...Object.keys(of.after)])];
  return (
    <table class="measures cards">
      <caption>
        {labelName(of.label)}: {t("calibration.n", { positives: of.positives, negatives: of.negatives })}
      </caption>
      <thead>
        <tr>
          <th scope="col">{t("calibration.measure")}</th>
          <th scope="col">■ {t("calibration.was")}</th>
          <th scope="col">● {t("calibration.would")}</th>
          <td />
        </tr>
      </thead>
      <tbody>
        {names.map((name) => (
          <tr key={name}>
            <th scope="row">{knows("measure", name) ? named("measure", name) : name.replaceAll("_", " ")}</th>
            <td data-name={`■ ${t("calibration.was")}`}>
              <Interval of={of.before[name]} />
            </td>
            <td data-name={`● ${t("calibration.would")}`}>
              <Interval of={of.after[name]} />
            </td>
            <td>
              <BeforeAfter before={of.before[name]} after={of.after[name]} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
