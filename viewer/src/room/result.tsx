/**
 * Result: what a newcomer must grasp in five seconds.
 *
 * Read or refused, how likely, how sure, where; a film that was not read never has a probability.
 */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { figures, knows, named, near, number, percent, t } from "../core/i18n";
import { told } from "../core/sentences";
import { may, me } from "../core/store";
import type { AppearanceFinding, Finding, LabelAnswer, Reading, ReadingAnswer } from "../core/types";
import { LOOKS, appearance, differ, headline, likelihood, sentence, tone } from "../core/words";
import { Choice, Field, Interval, labelName, Loading } from "../parts/ui";
import { Alikes } from "./strips";
import { Where } from "./where";

/** What the reader stated for this place; null leaves the bundle's own. */
export const prevalence = signal<number | null>(null);
export const operatingPoint = signal<string>("");

/** The reading at a glance, in the server's words: a line for each finding. */
export function AtAGlance({ answer }: { answer: ReadingAnswer | null }) {
  if (!answer) return <Loading />;
  if (!answer.reading) {
    return (
      <p class="line">
        {t(answer.status === "reading" ? "reading.now" : "reading.queued")}
        {` · ${t("reading.ahead", { count: answer.queue_ahead })}`}
      </p>
    );
  }
  const { findings } = answer.reading;
  return (
    <section class="glance" aria-label={t("glance")}>
      {answer.lines.map(({ label, line }) => {
        const found = findings.find((each) => each.label === label);
        return (
          <p key={label} class={`line ${found ? tone(found.answer) : "refused"}`}>
            <b>{label ? labelName(label) : t("glance")}</b> {line}
          </p>
        );
      })}
    </section>
  );
}

export function Result(props: {
  answer: ReadingAnswer | null;
  again: (force: boolean) => void;
}) {
  const { answer: given } = props;
  const reading = given?.reading;
  if (!given) return <Loading />;
  if (!reading) {
    return (
      <Headline tone="open" title={t(given.status === "reading" ? "reading.now" : "reading.queued")}>
        <p role="status">
          <span class="spinner" aria-hidden="true" /> {t("reading.ahead", { count: given.queue_ahead })}
        </p>
      </Headline>
    );
  }
  if (reading.status !== "read") return <NotRead reading={reading} again={props.again} />;
  return (
    <div class="result">
      {reading.forced && reading.refusal && (
        <div class="headline refused">
          <h2>{t("reading.forced")}</h2>
          <p>{why(reading)}</p>
        </div>
      )}
      {reading.findings.map((finding) => (
        <Said key={finding.label} finding={finding} known={knownOf(finding.label)} />
      ))}
      {reading.appearance && <Looks said={reading.appearance} />}
      <Where reading={reading} />
      <Doubts reading={reading} given={given} />
      <Restate reading={reading} />
      <Alikes similar={reading.details?.similar ?? []} pictures={given.similar_pictures} />
    </div>
  );
}

const knownOf = (label: string): LabelAnswer | undefined =>
  me.value?.bundle?.labels.find((each) => each.label === label);

function Headline(props: { tone: string; title: string; children: ComponentChildren }) {
  return (
    <div class="result">
      <div class={`headline ${props.tone}`}>
        <h2>{props.title}</h2>
        {props.children}
      </div>
    </div>
  );
}

/** The reason as a few words. */
function why(reading: Reading): string {
  const { refusal } = reading;
  if (!refusal) return told(reading.reason ?? "");
  const words = named("refusal", refusal.code);
  return words === refusal.code ? told(reading.reason ?? refusal.code) : words;
}

function NotRead({ reading, again }: { reading: Reading; again: (force: boolean) => void }) {
  const { refusal, status } = reading;
  const hint = refusal && knows("refusal-hint", refusal.code)
    ? named("refusal-hint", refusal.code)
    : told(reading.hint ?? "");
  return (
    <Headline tone="refused" title={t(status === "refused" ? "reading.refused" : "reading.error")}>
      <p class="why">{why(reading)}</p>
      {refusal && (
        <details>
          <summary>{t("refusal.what")}</summary>
          <dl class="facts">
            <dt>{t("refusal.measured")}</dt>
            <dd>
              {told(refusal.measured)}
              {refusal.value !== null && <b>{` ${figures(refusal.value)}`}</b>}
            </dd>
            {refusal.limit !== null && (
              <>
                <dt>{t("refusal.limit")}</dt>
                <dd>
                  <b>{figures(refusal.limit)}</b>
                </dd>
              </>
            )}
          </dl>
        </details>
      )}
      {hint && <p>{t("hint", { hint })}</p>}
      <p class="soft">{t("reading.no-probability")}</p>
      {may("reviewer") && (
        <p class="actions">
          <button onClick={() => again(false)}>{t("reading.again")}</button>
          {status === "refused" && (
            <button onClick={() => confirm(t("reading.force.sure")) && again(true)}>
              {t("reading.force")}
            </button>
          )}
        </p>
      )}
    </Headline>
  );
}

function Said({ finding, known }: { finding: Finding; known: LabelAnswer | undefined }) {
  const label = labelName(finding.label);
  const kind = tone(finding.answer);
  const point = known?.operating_points.find((each) => each.name === finding.operating_point);
  const chance = near(finding.probability);
  return (
    <section class={`headline ${kind}`} aria-label={label}>
      <div class="said">
        <div>
          <h2>{label}</h2>
          <p class="answer">
            <span class={`tag answer-${kind}`}>{headline(finding.answer, label)}</span>
          </p>
          <p class="likely">{likelihood(finding)}</p>
        </div>
        <p class="big">{chance}{"\u00a0%"}</p>
      </div>
      <Scale finding={finding} />
      {differ(finding) && <p>{sentence(t("doubt.differ"))}</p>}
      <p class="conformal soft">
        {finding.coverage !== null && finding.prediction_set !== null
          ? t(`conformal.${finding.prediction_set}`, { share: percent(1 - finding.coverage), label })
          : t("conformal.missing")}
      </p>
      <p class="meaning">
        {finding.prevalence === null
          ? t("meaning.uncalibrated")
          : t(chance.startsWith("<") ? "meaning.few" : chance.startsWith(">") ? "meaning.most" : "meaning", {
              prevalence: percent(finding.prevalence, finding.prevalence < 0.1 ? 1 : 0),
              count: chance,
              label,
            })}
      </p>
      <details>
        <summary>
          {t(finding.present ? "point.present" : "point.absent", { point: pointName(finding.operating_point) })}
        </summary>
        <dl class="facts">
          <dt>{t("point.score")}</dt>
          <dd>
            {number(finding.score, 3)} {finding.present ? "≥" : "<"} {number(finding.threshold, 3)}
          </dd>
          {point && (
            <>
              <dt>{t("sensitivity")}</dt>
              <dd>
                <Interval of={point.sensitivity} share />
              </dd>
              <dt>{t("specificity")}</dt>
              <dd>
                <Interval of={point.specificity} share />
              </dd>
              <dt>{t("point.chosen-on")}</dt>
              <dd>{point.chosen_on}</dd>
              <dt>{t("point.rule")}</dt>
              <dd>{point.rule}</dd>
            </>
          )}
          <dt>{t("point.logit")}</dt>
          <dd>{number(finding.logit, 2)}</dd>
          {finding.in_lung_share !== null && (
            <>
              <dt>{t("in-lung")}</dt>
              <dd>{percent(finding.in_lung_share)}</dd>
            </>
          )}
        </dl>
      </details>
    </section>
  );
}

/** What the film looks like: the set in words, the four chances, and that it is not the infection. */
function Looks({ said }: { said: AppearanceFinding }) {
  const { chances, prediction_set: kept, coverage } = said;
  const some = kept !== null && kept.length > 0 && kept.length < LOOKS.length;
  return (
    <section class="looks" aria-label={t("appearance")}>
      <h3>{t("appearance")}</h3>
      <p>
        <b>{sentence(appearance(said))}</b>
      </p>
      {some && coverage !== null && <p class="soft">{t("appearance.others", { share: percent(1 - coverage) })}</p>}
      <dl class="chances">
        {LOOKS.map((each) => (
          <div key={each}>
            <dt>{t(`appearance-short.${each}`)}</dt>
            <dd>
              <meter min={0} max={1} value={chances[each] ?? 0} aria-hidden="true" />
              <span>{percent(chances[each])}</span>
            </dd>
          </div>
        ))}
      </dl>
      <p class="soft">{t("appearance.notice")}</p>
    </section>
  );
}

const pointName = (name: string): string => named("point-name", name);

/** The probability on a line from 0 to 100 %, with the prevalence that it starts from. */
function Scale({ finding }: { finding: Finding }) {
  const x = (share: number) => 2 + 296 * share;
  return (
    <svg class="scale" viewBox="0 0 300 16" aria-hidden="true" preserveAspectRatio="none">
      <rect x="2" y="5" width="296" height="6" rx="3" class="scale-line" />
      <rect x="2" y="5" width={Math.max(296 * finding.probability, 3)} height="6" rx="3" class="scale-value" />
      {finding.prevalence !== null && (
        <line x1={x(finding.prevalence)} x2={x(finding.prevalence)} y1="1" y2="15" class="scale-mark" />
      )}
    </svg>
  );
}

/** What speaks against relying on the reading: its notes, where it was calibrated, with what. */
function Doubts({ reading, given }: { reading: Reading; given: ReadingAnswer }) {
  const bundle = me.value?.bundle;
  const site = given.site;
  const low = reading.findings.filter(
    ({ in_lung_share: share }) => share !== null && share < 0.5,
  );
  return (
    <section class="doubts" aria-label={t("doubts")}>
      <h3>{t("doubts")}</h3>
      <ul>
        <li class={site ? "good" : "warn"}>
          {site ? t("site.calibrated", { site }) : t("site.not-calibrated")}
        </li>
        {given.trained && <li class="warn">{given.trained}</li>}
        {low.map(({ label, in_lung_share: share }) => (
          <li key={label} class="warn">
            {t("in-lung.low", { label: labelName(label), share: percent(share) })}
          </li>
        ))}
        {reading.notes.map((note) => (
          <li key={note} class="warn">
            {told(note)}
          </li>
        ))}
        {reading.notes.length === 0 && <li class="good">{t("quality.no-notes")}</li>}
        <li class="plain">
          {t("model")}: {reading.bundle}
          {bundle && bundle.identity !== reading.bundle && <b> {t("model.older")}</b>}
        </li>
      </ul>
    </section>
  );
}

/** Say the probability for this place: how frequent the disease is here, which threshold counts. */
function Restate({ reading }: { reading: Reading }) {
  const points = [
    ...new Set(me.value?.bundle?.labels.flatMap((each) => each.operating_points.map(({ name }) => name))),
  ];
  // one number is the prevalence of COVID-19, else of the first label; the others move along
  const movable = reading.findings.filter(({ prevalence: known }) => known !== null);
  const asked = movable.find(({ label }) => label === "covid-19") ?? movable[0];
  return (
    <section class="restate" aria-label={t("restate")}>
      <h3>{t("restate")}</h3>
      <div class="two">
        {asked && (
          <Field label={t("restate.prevalence", { label: labelName(asked.label) })}>
            <input
              type="number"
              min={0.1}
              max={99.9}
              step={0.1}
              placeholder={t("restate.default")}
              value={prevalence.value === null ? "" : Math.round(1000 * prevalence.value) / 10}
              onChange={({ currentTarget: { valueAsNumber: typed } }) => {
                prevalence.value = typed > 0 && typed < 100 ? typed / 100 : null;
              }}
            />
          </Field>
        )}
        <Choice
          label={t("restate.point")}
          value={operatingPoint.value}
          options={[["", t("restate.default")], ...points.map((name) => [name, pointName(name)] as const)]}
          change={(name) => (operatingPoint.value = name)}
        />
      </div>
    </section>
  );
}
