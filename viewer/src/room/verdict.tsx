/** Verdict: the human decides, finding by finding; blind first where that is on. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { date, t } from "../core/i18n";
import { complain, may, me, say } from "../core/store";
import type { Call, Label, ListAnswer, ReferenceStandard, VerdictAnswer } from "../core/types";
import { Choice, Field, labelName } from "../parts/ui";
import { useLoad } from "../parts/use";
import { chosen, type Desk } from "./desk";
import { Sure } from "./sure";

/** In the order of the keys 1, 2, 3: what a person says of the finding itself. */
const CALLS: readonly Call[] = ["present", "absent", "unsure"];

/** Choices that keys made and nobody took yet, each for the first finding that has none. */
const keyed = signal<readonly { filmId: string; place: number }[]>([]);
export const chooseByKey = (filmId: string, place: number): void => {
  keyed.value = [...keyed.value, { filmId, place }];
};
export const saveByKey = signal(0);

export function VerdictPanel(props: {
  filmId: string;
  labels: readonly Label[];
  blind: boolean;
  verdicts: readonly VerdictAnswer[];
  desk: Desk;
  /** The reading list in which the verdicts are given. */
  list: ListAnswer | null;
  saved: () => void;
}) {
  const { filmId, labels, blind, desk, list } = props;
  const [sure, setSure] = useState<Partial<Record<Label, number>>>({});
  const asksSure = list?.confidence ?? false;
  const { choices, text, corrected_label: corrected, marks } = desk.work;
  // a blind reading is whole, or it is not given: the answers are shown after it
  const ready = (made: typeof choices) => {
    const given = labels.filter((label) => made[label] && (!asksSure || sure[label] !== undefined));
    return given.length > 0 && (given.length === labels.length || !(blind || asksSure));
  };
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    const calls = keyed.value.flatMap((each) => (each.filmId === filmId ? CALLS[each.place - 1] ?? [] : []));
    if (calls.length === 0 || labels.length === 0 || !may("reviewer")) return;
    keyed.value = [];
    desk.change({ choices: calls.reduce((made, call) => chosen(made, labels, call), desk.latest().choices) });
  }, [keyed.value, filmId, labels.join()]);

  const save = async () => {
    const taken = desk.latest();
    const { choices, text, corrected_label, marks } = taken;
    setBusy(true);
    try {
      const given = labels.flatMap((finding) => {
        const verdict = choices[finding];
        const inList = list && { list_id: list.list_id, confidence: asksSure ? sure[finding] ?? null : null };
        return verdict ? [{ finding, verdict, text, blind, corrected_label, marks, ...inList }] : [];
      });
      await api.giveVerdicts(filmId, given);
      say("good", t("verdict.saved"));
      desk.given(taken);
      setSure({});
      props.saved();
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  };
  // a choice and Enter in one breath: the page is not drawn with the choice yet
  useEffect(() => {
    if (saveByKey.value && ready(desk.latest().choices) && !busy) void save();
  }, [saveByKey.value]);

  if (!may("reviewer")) return <Past verdicts={props.verdicts} note={t("verdict.reader")} />;
  return (
    <div class="verdict">
      {blind && <p class="blind-note">{t(labels.length > 1 ? "blind.now-all" : "blind.now")}</p>}
      {labels.map((label) => (
        <fieldset key={label} class="calls">
          <legend>{labelName(label)}</legend>
          {CALLS.map((call, place) => (
            <label key={call} class={`call call-${call}`}>
              <input
                type="radio"
                name={`verdict-${label}`}
                checked={choices[label] === call}
                onChange={() => desk.change({ choices: { ...choices, [label]: call } })}
              />
              <span>
                {t(`call.${call}`)} <kbd aria-hidden="true">{place + 1}</kbd>
              </span>
            </label>
          ))}
          {asksSure && choices[label] && (
            <Sure
              value={sure[label]}
              change={(value) => setSure({ ...sure, [label]: value })}
              save={() => ready(desk.latest().choices) && !busy && void save()}
            />
          )}
        </fieldset>
      ))}
      <Field label={t("verdict.text")}>
        <textarea rows={2} value={text} onInput={(event) => desk.change({ text: event.currentTarget.value })} />
      </Field>
      <Choice
        label={t("verdict.corrected")}
        value={corrected ?? ""}
        options={[
          ["", t("verdict.corrected.none")],
          ...(me.value?.labels ?? []).map((label) => [label, labelName(label)] as const),
        ]}
        change={(label) => desk.change({ corrected_label: label || null })}
      />
      <p class="soft">{t("verdict.marks", { count: marks.filter(({ kind }) => kind === "rectangle").length })}</p>
      <button class="primary" disabled={!ready(choices) || busy} onClick={() => void save()}>
        {t(blind ? "verdict.save-blind" : "verdict.save")}
      </button>
      <Past verdicts={props.verdicts} note="" />
      {!blind && <References filmId={filmId} labels={labels} />}
    </div>
  );
}

function Past({ verdicts, note }: { verdicts: readonly VerdictAnswer[]; note: string }) {
  return (
    <section class="past" aria-label={t("verdict.past")}>
      {note && <p class="soft">{note}</p>}
      <h3>{t("verdict.past")}</h3>
      {verdicts.length === 0 && <p class="soft">{t("verdict.none")}</p>}
      <ul>
        {verdicts.map((each) => (
          <li key={each.verdict_id}>
            <b>{labelName(each.finding)}</b>: {t(`call.${each.verdict}`)}
            {each.blind && <span class="tag blind">{t("blind")}</span>}
            {each.corrected_label && <> → {labelName(each.corrected_label)}</>}
            {each.text && <blockquote>{each.text}</blockquote>}
            <small class="soft">
              {each.by}, {date(each.at)}
              {each.marks.length > 0 && ` · ${t("verdict.with-marks", { count: each.marks.length })}`}
            </small>
          </li>
        ))}
      </ul>
    </section>
  );
}

const STANDARDS: readonly ReferenceStandard[] = ["RT-PCR", "report", "radiologist", "unstated"];

/** What is known of the patient beyond this film; it judges both, the machine and the human. */
function References({ filmId, labels }: { filmId: string; labels: readonly Label[] }) {
  const known = useLoad(() => api.references(filmId), [filmId]);
  const [standard, setStandard] = useState<ReferenceStandard>("RT-PCR");
  const valueOf = (label: string) => known.value?.find((each) => each.finding === label);
  const set = async (finding: Label, typed: string) => {
    const value = typed === "" ? null : typed === "1" ? 1 : 0;
    try {
      await api.setReference(filmId, { finding, value, standard });
      known.reload();
    } catch (error) {
      complain(error);
    }
  };
  return (
    <details class="reference">
      <summary>{t("reference")}</summary>
      <p class="soft">{t("reference.explained")}</p>
      <Choice
        label={t("reference.standard")}
        value={standard}
        options={STANDARDS.map((each) => [each, t(`standard.${each}`)] as const)}
        change={setStandard}
      />
      {labels.map((label) => (
        <Choice
          key={label}
          label={labelName(label)}
          value={String(valueOf(label)?.value ?? "")}
          options={[["", t("reference.unknown")], ["1", t("call.present")], ["0", t("call.absent")]]}
          change={(typed) => void set(label, typed)}
        />
      ))}
    </details>
  );
}
