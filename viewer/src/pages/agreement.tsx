/** Agreement: machine against human, each against what is known to be true, with intervals. */
import { useState } from "preact/hooks";
import { api } from "../core/api";
import { t, type Key } from "../core/i18n";
import { me } from "../core/store";
import type { AgreementAnswer, Estimate } from "../core/types";
import { Choice, Field, Interval, labelName, Loading, Page, Trouble } from "../parts/ui";
import { useLoad } from "../parts/use";

export function AgreementPage() {
  const labels = me.value?.bundle?.labels.map(({ label }) => label) ?? [];
  const [label, setLabel] = useState(labels[0] ?? "covid-19");
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const found = useLoad(() => api.agreement(label, from, to), [label, from, to]);
  return (
    <Page title="nav.agreement" intro="agreement.intro">
      <div class="filters">
        <Choice
          label={t("worklist.finding")}
          value={label}
          options={labels.map((each) => [each, labelName(each)] as const)}
          change={setLabel}
        />
        <Field label={t("worklist.from")}>
          <input type="date" value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
        </Field>
        <Field label={t("worklist.to")}>
          <input type="date" value={to} onChange={(event) => setTo(event.currentTarget.value)} />
        </Field>
        <a class="button" href={api.agreementCsv} download="reader-study.csv">
          {t("agreement.csv")}
        </a>
      </div>
      {found.error ? (
        <Trouble error={found.error} again={found.reload} />
      ) : found.value ? (
        <Numbers of={found.value} />
      ) : (
        <Loading />
      )}
    </Page>
  );
}

function Numbers({ of }: { of: AgreementAnswer }) {
  const { counts } = of;
  if (of.films === 0) return <p class="nothing">{t("agreement.none")}</p>;
  return (
    <>
      <p>
        {t("agreement.based-on", { films: of.films, reviewers: of.reviewers })}
        {counts.unsure > 0 && ` ${t("agreement.unsure", { count: counts.unsure })}`}
        {counts.cannot_say > 0 && ` ${t("agreement.cannot-say", { count: counts.cannot_say })}`}
      </p>
      <div class="grid">
        <section class="card">
          <h2>{t("agreement.together")}</h2>
          <Rows
            rows={[
              ["agreement.kappa", of.kappa, false],
              ["agreement.blind-kappa", of.blind_kappa, false],
              ["agreement.share", of.agreement, true],
              ["agreement.changed", of.changed_after_reading, true],
            ]}
          />
        </section>
        <section class="card">
          <h2>{t("agreement.table")}</h2>
          <table class="four">
            <thead>
              <tr>
                <td />
                <th scope="col">{t("agreement.human-present")}</th>
                <th scope="col">{t("agreement.human-absent")}</th>
              </tr>
            </thead>
            <tbody>
              <tr>
                <th scope="row">{t("agreement.machine-present")}</th>
                <td class="same">{counts.both_present}</td>
                <td class="differs">{counts.only_machine}</td>
              </tr>
              <tr>
                <th scope="row">{t("agreement.machine-absent")}</th>
                <td class="differs">{counts.only_human}</td>
                <td class="same">{counts.both_absent}</td>
              </tr>
            </tbody>
          </table>
        </section>
        <section class="card span">
          <h2>{t("agreement.truth")}</h2>
          <table>
            <thead>
              <tr>
                <td />
                <th scope="col">{t("sensitivity")}</th>
                <th scope="col">{t("specificity")}</th>
              </tr>
            </thead>
            <tbody>
              {(["machine", "blind_human", "human"] as const).map((who) => (
                <tr key={who}>
                  <th scope="row">{t(`agreement.${who}`)}</th>
                  <td>
                    <Interval of={of[who].sensitivity} share />
                  </td>
                  <td>
                    <Interval of={of[who].specificity} share />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <p class="soft">{t("agreement.truth.explained")}</p>
        </section>
      </div>
    </>
  );
}

function Rows({ rows }: { rows: readonly (readonly [Key, Estimate, boolean])[] }) {
  return (
    <table>
      <tbody>
        {rows.map(([key, estimate, share]) => (
          <tr key={key}>
            <th scope="row">{t(key)}</th>
            <td>
              <Interval of={estimate} share={share} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
