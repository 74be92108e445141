/** Audit log: who did what, to which film, with which model; chained, so that a change shows. */
import { useState } from "preact/hooks";
import { api } from "../core/api";
import { date, t } from "../core/i18n";
import { told } from "../core/sentences";
import { complain } from "../core/store";
import type { LogLine } from "../core/types";
import { Loading, Page, Trouble } from "../parts/ui";
import { useLoad } from "../parts/use";

type Check = { ok: boolean; lines: number; problem: string | null };

export function LogPage() {
  const [before, setBefore] = useState<readonly number[]>([]);
  const from = before.at(-1) ?? null;
  const found = useLoad(() => api.log(from), [from]);
  const [check, setCheck] = useState<Check | "running" | null>(null);
  const verify = async () => {
    setCheck("running");
    try {
      setCheck(await api.verifyLog());
    } catch (error) {
      setCheck(null);
      complain(error);
    }
  };
  return (
    <Page title="nav.log" intro="log.intro" wide>
      <p class="actions">
        <button onClick={() => void verify()} disabled={check === "running"}>
          {t("log.verify")}
        </button>
        {check && check !== "running" && (
          <span role="status" class={check.ok ? "tag good" : "tag bad"}>
            {check.ok
              ? `✓ ${t("log.whole", { lines: check.lines })}`
              : `✗ ${t("log.broken", { problem: check.problem ?? "" })}`}
          </span>
        )}
      </p>
      {found.error ? (
        <Trouble error={found.error} again={found.reload} />
      ) : found.value ? (
        <>
          <Lines lines={found.value.items} />
          <nav class="pager" aria-label={t("pager")}>
            <button disabled={before.length === 0} onClick={() => setBefore(before.slice(0, -1))}>
              ← {t("log.newer")}
            </button>
            <button
              disabled={!found.value.next}
              onClick={() => setBefore([...before, found.value?.next ?? 0])}
            >
              {t("log.older")} →
            </button>
          </nav>
        </>
      ) : (
        <Loading />
      )}
    </Page>
  );
}

function Lines({ lines }: { lines: readonly LogLine[] }) {
  return (
    <div class="table-box" tabIndex={0} role="region" aria-label={t("nav.log")}>
      <table class="log cards">
        <thead>
          <tr>
            <th scope="col" class="num">#</th>
            <th scope="col">{t("log.at")}</th>
            <th scope="col">{t("log.who")}</th>
            <th scope="col">{t("log.action")}</th>
            <th scope="col">{t("column.film")}</th>
            <th scope="col">{t("model")}</th>
            <th scope="col">{t("log.data")}</th>
            <th scope="col">{t("log.hash")}</th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <tr key={line.seq}>
              <td class="num" data-name="#">{line.seq}</td>
              <td class="at nowrap" data-name={t("log.at")}>{date(line.at)}</td>
              <td data-name={t("log.who")}>{told(line.who)}</td>
              <td data-name={t("log.action")}>{line.action}</td>
              <td data-name={t("column.film")}>{line.film_id ? <a href={`#/film/${line.film_id}`}>{line.film_id.slice(0, 8)}</a> : "–"}</td>
              <td data-name={t("model")}>{line.bundle ? <code title={line.bundle}>{line.bundle.slice(0, 12)}</code> : "–"}</td>
              <td class="data" data-name={t("log.data")}>
                <code>{short(line.data)}</code>
              </td>
              <td data-name={t("log.hash")}>
                <code title={line.hash}>{line.hash.slice(0, 12)}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function short(data: Record<string, unknown> | null): string {
  const text = data && Object.keys(data).length ? JSON.stringify(data) : "–";
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
