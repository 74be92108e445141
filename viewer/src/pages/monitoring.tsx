/** Monitoring: how much, how many refused and why, whether the scores drift, how fast. */
import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { date, named, number, percent, t } from "../core/i18n";
import { told } from "../core/sentences";
import { me } from "../core/store";
import type { AlarmAnswer, MonitoringAnswer, NodeFacts, PeerAnswer } from "../core/types";
import { Bars, Distributions, Lines, Stacked } from "../parts/charts";
import { Choice, labelName, Loading, Page, Trouble } from "../parts/ui";
import { useLoad } from "../parts/use";

export function MonitoringPage() {
  const labels = me.value?.bundle?.labels.map(({ label }) => label) ?? [];
  const [label, setLabel] = useState(labels[0] ?? "covid-19");
  const [days, setDays] = useState("30");
  const found = useLoad(() => api.monitoring(Number(days), label), [days, label]);
  return (
    <Page title="nav.monitoring" intro="monitoring.intro">
      <div class="filters">
        <Choice
          label={t("monitoring.days")}
          value={days}
          options={["7", "30", "90", "365"].map((each) => [each, each] as const)}
          change={setDays}
        />
        <Choice
          label={t("worklist.finding")}
          value={label}
          options={labels.map((each) => [each, labelName(each)] as const)}
          change={setLabel}
        />
      </div>
      <Network />
      {found.error ? (
        <Trouble error={found.error} again={found.reload} />
      ) : found.value ? (
        <Charts of={found.value} />
      ) : (
        <Loading />
      )}
    </Page>
  );
}

const AGAIN_MS = 30_000;

/** How films come and results go by DICOM; nothing where this workstation has no node. */
function Network() {
  const found = useLoad(() => api.node(), []);
  useEffect(() => {
    const timer = setInterval(found.reload, AGAIN_MS);
    return () => clearInterval(timer);
  }, [found.reload]);
  if (found.error) return <Trouble error={found.error} again={found.reload} />;
  return found.value && <NodeCard of={found.value} />;
}

function NodeCard({ of }: { of: NodeFacts }) {
  return (
    <section class="card">
      <h2>{t("node.title")}</h2>
      <p>
        {of.listen === null ? t("node.deaf") : t("node.listens", { at: of.listen })}{" "}
        {t("node.queues", { read: of.to_read, make: of.to_make })}
      </p>
      {of.alarms.length === 0 ? (
        <p class="soft">{t("node.quiet")}</p>
      ) : (
        <div class="bad" role="alert">
          <ul>
            {of.alarms.map((each) => (
              <li key={`${each.code} ${each.peer}`}>{alarmed(each)}</li>
            ))}
          </ul>
        </div>
      )}
      {of.peers.length > 0 && (
        <table>
          <thead>
            <tr>
              {(["peer", "films", "last", "sent", "waiting", "dead", "state"] as const).map((name) => (
                <th key={name} scope="col">
                  {t(`node.${name}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {of.peers.map((each) => (
              <PeerRow key={each.name} of={each} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

const alarmed = ({ code, peer, value }: AlarmAnswer): string =>
  t(`node.alarm.${code}`, { peer: peer ?? "", value: number(value, code === "space" ? 1 : 0) });

function PeerRow({ of }: { of: PeerAnswer }) {
  return (
    <tr>
      <th scope="row">{of.name}</th>
      <td>{number(of.films, 0)}</td>
      <td>{of.last_film === null ? "–" : date(of.last_film)}</td>
      <td>{number(of.sent, 0)}</td>
      <td>{number(of.waiting, 0)}</td>
      <td>{number(of.dead, 0)}</td>
      <td class={of.error === null ? undefined : "bad"}>
        {of.error === null || of.since === null
          ? t(of.since === null ? "node.untried" : "node.up")
          : t("node.down", { since: date(of.since), error: of.error })}
      </td>
    </tr>
  );
}

/** "2026-11-22" as "11-22". */
const short = (day: string): string => day.slice(5);

function Charts({ of }: { of: MonitoringAnswer }) {
  const days = of.days.map(({ day }) => short(day));
  const pick = (name: "read" | "refused" | "error") => of.days.map((each) => each[name]);
  return (
    <div class="grid charts">
      <section class="card">
        <h2>{t("monitoring.films")}</h2>
        <p>{t("monitoring.total", { films: of.films, refused: percent(of.refusal_rate, 1) })}</p>
        <Stacked
          title={t("monitoring.films")}
          labels={days}
          series={[
            { name: t("status.read"), values: pick("read"), style: "a" },
            { name: t("status.refused"), values: pick("refused"), style: "b" },
            { name: t("status.error"), values: pick("error"), style: "c" },
          ]}
        />
      </section>
      <section class="card">
        <h2>{t("monitoring.refusals")}</h2>
        <Bars
          title={t("monitoring.refusals")}
          rows={Object.entries(of.refusals).map(([code, count]) => [named("refusal", code), count] as const)}
        />
      </section>
      <Drift scores={of.scores} />
      <section class="card">
        <h2>{t("monitoring.latency")}</h2>
        <p class="soft">{t("monitoring.latency.explained")}</p>
        <Lines
          title={t("monitoring.latency")}
          labels={days}
          format={(value) => number(value / 1000, 1)}
          series={[
            { name: t("monitoring.median"), values: of.days.map(({ latency_ms: ms }) => ms.p50), style: "a" },
            { name: t("monitoring.p95"), values: of.days.map(({ latency_ms: ms }) => ms.p95), style: "b" },
          ]}
        />
      </section>
      <section class="card span">
        <h2>{t("monitoring.agreement")}</h2>
        {of.agreement.every((each) => each.agreement === null) ? (
          <p class="soft">{t("nothing-yet")}</p>
        ) : (
          <Lines
            title={t("monitoring.agreement")}
            labels={of.agreement.map(({ week }) => short(week))}
            end={1}
            format={(value) => number(value, 1)}
            series={[
              { name: t("agreement.share"), values: of.agreement.map((each) => each.agreement), style: "a" },
              { name: t("agreement.kappa"), values: of.agreement.map((each) => each.kappa), style: "b" },
            ]}
          />
        )}
      </section>
    </div>
  );
}

function Drift({ scores }: { scores: MonitoringAnswer["scores"] }) {
  return (
    <section class="card">
      <h2>{t("monitoring.drift")}</h2>
      <p class={scores.alarm ? "bad" : undefined} role={scores.alarm ? "alert" : undefined}>
        {scores.psi === null
          ? (scores.note ? told(scores.note) : t("nothing-yet"))
          : t(scores.alarm ? "monitoring.psi.alarm" : "monitoring.psi", {
              psi: number(scores.psi, 3),
              limit: number(scores.limit, 2),
              n: scores.n,
            })}
      </p>
      {scores.site.length > 0 && (
        <Distributions
          title={t("monitoring.drift")}
          edges={scores.edges}
          here={scores.site}
          there={scores.validation ?? []}
          names={[t("monitoring.here"), t("monitoring.validation")]}
        />
      )}
    </section>
  );
}
