/** Trash: what was deleted, until it is put back or goes for good. */
import { api } from "../core/api";
import { date, number, t } from "../core/i18n";
import { told } from "../core/sentences";
import { complain, say } from "../core/store";
import { Loading, Page, Trouble } from "../parts/ui";
import { useLoad } from "../parts/use";

export function TrashPage() {
  const found = useLoad(() => api.trash(), []);
  const act = async (what: Promise<void>, done: "trash.restored" | "trash.gone") => {
    try {
      await what;
      say("good", t(done));
    } catch (error) {
      complain(error);
    }
    found.reload();
  };
  return (
    <Page title="trash" intro="trash.intro" wide>
      {found.error ? (
        <Trouble error={found.error} again={found.reload} />
      ) : !found.value ? (
        <Loading />
      ) : found.value.length === 0 ? (
        <p class="soft">{t("trash.empty")}</p>
      ) : (
        <div class="table-box" tabIndex={0} role="region" aria-label={t("trash")}>
          <table class="cards">
            <thead>
              <tr>
                <th scope="col">{t("column.patient")}</th>
                <th scope="col">{t("column.study")}</th>
                <th scope="col" class="num">{t("deletion.films")}</th>
                <th scope="col" class="num">{t("deletion.verdicts")}</th>
                <th scope="col" class="num">{t("deletion.reports")}</th>
                <th scope="col">{t("trash.by")}</th>
                <th scope="col">{t("trash.until")}</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {found.value.map((item) => (
                <tr key={item.study_id}>
                  <th scope="row">{item.patient_id ?? "–"}</th>
                  <td data-name={t("column.study")}>{item.study_date ?? "–"}</td>
                  <td class="num" data-name={t("deletion.films")}>{number(item.films, 0)}</td>
                  <td class="num" data-name={t("deletion.verdicts")}>{number(item.verdicts, 0)}</td>
                  <td class="num" data-name={t("deletion.reports")}>{number(item.reports, 0)}</td>
                  <td data-name={t("trash.by")}>
                    {told(item.by)}
                    <div class="soft">{[date(item.at), item.reason].filter(Boolean).join(" · ")}</div>
                  </td>
                  <td class="nowrap" data-name={t("trash.until")}>{date(item.until)}</td>
                  <td>
                    <p class="actions">
                      <button onClick={() => void act(api.restore(item.study_id), "trash.restored")}>
                        {t("trash.restore")}
                      </button>
                      <button
                        class="danger"
                        onClick={() =>
                          confirm(t("trash.sure")) && void act(api.deleteForGood(item.study_id), "trash.gone")
                        }
                      >
                        {t("trash.for-good")}
                      </button>
                    </p>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Page>
  );
}
