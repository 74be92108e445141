/** The films of the worklist's filter as a table: how it is written, and whether it names patients. */
import { useState } from "preact/hooks";
import { api, type StudyQuery } from "../core/api";
import { t } from "../core/i18n";
import { complain, may } from "../core/store";
import { Choice, Dialog, Switch } from "./ui";
import { handOver } from "./use";

type Format = "csv" | "parquet";

export function ExportDialog({ query, close }: { query: StudyQuery; close: () => void }) {
  const [format, setFormat] = useState<Format>("csv");
  const [patients, setPatients] = useState(false);
  const [busy, setBusy] = useState(false);
  const take = async () => {
    setBusy(true);
    try {
      handOver(await api.exported(query, format, patients), `films.${format}`);
      close();
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("export.title")} close={close}>
      <p>{t("export.explained")}</p>
      <Choice<Format>
        label={t("export.format")}
        value={format}
        options={[["csv", t("export.csv")], ["parquet", t("export.parquet")]]}
        change={setFormat}
      />
      {may("administrator") && <Switch label={t("export.patients")} on={patients} change={setPatients} />}
      <p class="actions">
        <button onClick={close}>{t("cancel")}</button>
        <button class="primary" disabled={busy} onClick={() => void take()}>
          {t("export.take")}
        </button>
      </p>
    </Dialog>
  );
}
