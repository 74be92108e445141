/**
 * Question: the human decides, finding by finding; blind first where that is on.
 *
 * A key answers a finding, and the last one saves and goes on; `u` takes the last verdict back.
 */
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { api } from "../core/api";
import { date, t } from "../core/i18n";
import { asApiError, complain, may, me, say } from "../core/store";
import type { AskingList, Call, Label, ReferenceStandard, VerdictAnswer } from "../core/types";
import { Choice, Field, labelName } from "../parts/ui";
import { useLoad } from "../parts/use";
import { Sure } from "./sure";
import { chosen, putBack, sent, type Desk, type Work } from "./desk";

/** In the order of the keys 1, 2, 3: what a person says of the finding itself. */
const CALLS: readonly Call[] = ["present", "absent", "unsure"];

/** What keys said and nobody took yet: of the finding that had the focus, else of the first open one. */
const keyed = signal<readonly { filmId: string; place: number; label: string | undefined }[]>([]);
export const chooseByKey = (filmId: string, place: number): void => {
  const at = document.activeElement?.closest<HTMLElement>("[data-finding]");
  keyed.value = [...keyed.value, { filmId, place, label: at?.dataset["finding"] }];
};
export const saveByKey = signal(0);

/** Something was chosen or written on a film that is no verdict yet. */
export const isBegun = (filmId: string, { choices, text }: Work): boolean =>
  Object.keys(choices).length > 0 || text !== "" || keyed.value.some((each) => each.filmId === filmId);

/** What this page has saved, the last one at the end: what `u` takes back. */
interface Given {
  filmId: string;
  verdicts: readonly VerdictAnswer[];
  work: Work;
}
const given = signal<readonly Given[]>([]);

/** Verdicts that are being given or taken back: meanwhile the last one is not known. */
let underWay = 0;
let undoneAt = -Infinity;
const BOUNCE_MS = 300;

/** Take the last verdict back, with its words and marks on the desk again; returns its film. */
export async function undo(filmId: string, desk: Desk): Promise<string | null> {
  const last = given.value.at(-1);
  if (!last || underWay > 0 || performance.now() - undoneAt < BOUNCE_MS) return null;
  underWay += 1;
  try {
    const rejection = await api.undoVerdicts(last.filmId, last.verdicts.map((each) => each.verdict_id));
    if (rejection) say(rejection === "sent" ? "bad" : "good", t(`verdict.rejection.${rejection}`));
  } catch (error) {
    complain(error); // it still stands, and is still the last one
    return null;
  } finally {
    underWay -= 1;
    undoneAt = performance.now();
  }
  given.value = given.value.filter((each) => each !== last);
  try {
    if (last.filmId === filmId) desk.change(putBack(desk.latest(), last.work));
    else {
      await sent(last.filmId);
      const kept = await api.desk(last.filmId);
      await api.keepDesk(last.filmId, { ...putBack(kept, last.work), version: kept.version }, false);
    }
  } catch (error) {
    complain(error); // its words are not on the desk, but it was taken back
  }
  return last.filmId;
}

/**
 * When the machine's answer is shown to who reads blind: after the verdicts that are asked now; after those of one more
 * list, too, as each has an answer of its own; or when a list ends.
 */
export const shownAfter = (lists: readonly AskingList[], labels: readonly Label[]): "now" | "again" | "end" => {
  const blind = lists.filter((each) => each.blind);
  if (blind.some(({ reveal }) => !reveal)) return "end";
  return labels.some((label) => blind.filter(({ owed }) => owed.includes(label)).length > 1) ? "again" : "now";
};

export function Question(props: {
  filmId: string;
  labels: readonly Label[];
  blind: boolean;
  verdicts: readonly VerdictAnswer[];
  desk: Desk;
  /** Open reading lists that ask of this film; what the first one owes is given in it. */
  lists: readonly AskingList[];
  /** Keys answer. */
  taking: boolean;
  /** The verdicts are kept; true where the next film is to come. */
  saved: (goesOn: boolean) => Promise<void>;
  undo: () => void;
}) {
  const { filmId, labels, blind, desk, lists } = props;
  const listOf = (label: Label) =>
    lists.find(({ owed }) => owed.includes(label)) ?? lists.find(({ findings }) => findings.includes(label));
  const asksSure = (label: Label) => listOf(label)?.confidence ?? false;
  const isForLists = [...new Set(labels.flatMap((label) => listOf(label)?.name ?? []))];
  const shown = shownAfter(lists, labels);
  const isShown = blind && shown === "now";
  const { choices, confidence, text, corrected_label: corrected, marks } = desk.work;
  const isSaid = (label: Label, made: typeof choices) =>
    !!made[label] && (!asksSure(label) || desk.latest().confidence[label] !== undefined);
  const isWhole = (made: typeof choices) => labels.length > 0 && labels.every((label) => isSaid(label, made));
  // a blind reading is whole, or it is not given: the answers are shown after it; so is what a list with confidence owes
  const mayWait = (label: Label) => !blind && !(asksSure(label) && listOf(label)?.owed.includes(label));
  const ready = (made: typeof choices) =>
    labels.some((label) => made[label]) &&
    labels.every((label) => isSaid(label, made) || (!made[label] && mayWait(label)));
  const [busy, setBusy] = useState(false);
  // once kept, nothing answers until the next film is there, or this one as it is shown by now
  const phase = useRef<"open" | "sent" | "kept">("open");
  const strip = useRef<HTMLElement>(null);

  const save = async () => {
    if (phase.current !== "open") return;
    const taken = desk.latest();
    const { choices, confidence, text, corrected_label, marks } = taken;
    phase.current = "sent";
    underWay += 1;
    setBusy(true);
    try {
      const said = labels.flatMap((finding) => {
        const verdict = choices[finding];
        const list = listOf(finding);
        const inList = list && {
          list_id: list.list_id,
          confidence: asksSure(finding) ? (confidence[finding] ?? null) : null,
        };
        return verdict ? [{ finding, verdict, text, blind, corrected_label, marks, ...inList }] : [];
      });
      const { items } = await api.giveVerdicts(filmId, said).finally(() => (underWay -= 1));
      phase.current = "kept";
      given.value = [...given.value.slice(-199), { filmId, verdicts: items, work: taken }];
      desk.given(taken);
      // who reads blind is shown the answer first; who went on meanwhile is not done here
      await props.saved(!isShown && !isBegun(filmId, desk.latest()));
    } catch (error) {
      complain(error);
      // another window, or who ended the list, was faster: the question is another one by now
      if (asApiError(error).status === 409) await props.saved(false).catch(complain);
    } finally {
      phase.current = "open";
      setBusy(false);
    }
  };

  // at once: an answer may come, and with it another question, before the page is painted
  useLayoutEffect(() => {
    const mine = keyed.value.filter((each) => each.filmId === filmId);
    if (mine.length === 0 || labels.length === 0 || !may("reviewer")) return;
    keyed.value = [];
    let made = desk.latest().choices;
    // pressed twice: the next film is not seen yet
    if (phase.current === "kept" || (phase.current === "sent" && isWhole(made))) return;
    for (const { place, label } of mine) {
      const call = CALLS[place - 1];
      if (!call) continue;
      const asked = labels.find((each) => each === label);
      made = asked ? { ...made, [asked]: call } : chosen(made, labels, call);
    }
    desk.change({ choices: made });
    if (isWhole(made)) return void save();
    const open = labels.find((label) => !made[label]);
    if (strip.current?.contains(document.activeElement)) {
      strip.current.querySelector<HTMLElement>(`[data-finding="${open}"] input`)?.focus();
    }
  }, [keyed.value, filmId, labels.join()]);

  // a choice and Enter in one breath: the page is not drawn with the choice yet
  useLayoutEffect(() => {
    if (!saveByKey.value || phase.current !== "open") return;
    if (ready(desk.latest().choices)) void save();
    else if (!Object.keys(desk.latest().choices).length && props.verdicts.some(isMine)) void props.saved(true);
  }, [saveByKey.value]);

  // the question is where the keyboard is, unless somebody has put it elsewhere
  useEffect(() => {
    if (labels.length && document.activeElement === document.body) strip.current?.focus({ preventScroll: true });
  }, [filmId, labels.length > 0]);

  if (!may("reviewer")) return <p class="soft">{t("verdict.reader")}</p>;
  if (labels.length === 0) return null;
  return (
    <section
      class={props.taking ? "verdict keys" : "verdict"}
      data-film={filmId}
      ref={strip}
      tabIndex={-1}
      aria-label={t("verdict")}
    >
      {blind && (
        <p class="blind-note">
          {t(shown !== "now" ? `blind.now.${shown}` : labels.length > 1 ? "blind.now-all" : "blind.now")}
        </p>
      )}
      {isForLists.length > 0 && <p class="soft">{t("verdict.for-list", { names: isForLists.join(", ") })}</p>}
      {labels.map((label) => (
        <fieldset key={label} class="calls" data-finding={label}>
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
          {asksSure(label) && choices[label] && (
            <Sure
              key={choices[label]}
              call={choices[label]}
              value={confidence[label]}
              change={(value) => desk.change({ confidence: { ...desk.latest().confidence, [label]: value } })}
              save={() => ready(desk.latest().choices) && void save()}
            />
          )}
        </fieldset>
      ))}
      <div class="two aside">
        <Field label={t("verdict.text")}>
          <textarea rows={1} value={text} onInput={(event) => desk.change({ text: event.currentTarget.value })} />
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
      </div>
      <p class="actions">
        <button class="primary" disabled={!ready(choices) || busy} onClick={() => void save()}>
          {t(isShown ? "verdict.save-blind" : "verdict.save")}
        </button>
        {given.value.length > 0 && (
          <button disabled={busy} onClick={props.undo} title="u">
            {t("verdict.undo")} <kbd aria-hidden="true">u</kbd>
          </button>
        )}
      </p>
      <Last filmId={filmId} />
      {marks.some(({ kind }) => kind === "rectangle") && (
        <p class="soft">{t("verdict.marks", { count: marks.filter(({ kind }) => kind === "rectangle").length })}</p>
      )}
    </section>
  );
}

const isMine = ({ by }: VerdictAnswer): boolean => by === me.value?.name;

/** What was saved last, here or of the film before. */
function Last({ filmId }: { filmId: string }) {
  const last = given.value.at(-1);
  const said = last?.verdicts.map(({ finding, verdict }) => `${labelName(finding)}: ${t(`call.${verdict}`)}`);
  return (
    <p class="last soft" role="status">
      {last && said && (
        <>
          {t(last.filmId === filmId ? "verdict.saved" : "verdict.saved-before")} {said.join(" · ")}
        </>
      )}
    </p>
  );
}

/** What was said of a film so far, and what is known of it beyond. */
export function Verdicts(props: {
  filmId: string;
  labels: readonly Label[];
  verdicts: readonly VerdictAnswer[];
  blind: boolean;
}) {
  return (
    <>
      <Past verdicts={props.verdicts} />
      {!props.blind && may("reviewer") && <References filmId={props.filmId} labels={props.labels} />}
    </>
  );
}

function Past({ verdicts }: { verdicts: readonly VerdictAnswer[] }) {
  return (
    <section class="past" aria-label={t("verdict.past")}>
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
