/** What would be deleted, counted by the server, and the button that does it. */
import { useState } from "preact/hooks";
import { api } from "../core/api";
import { date, number, t } from "../core/i18n";
import { told } from "../core/sentences";
import { asApiError, say } from "../core/store";
import type { AskDeletion, DeletionAnswer } from "../core/types";
import { Dialog, Field, Loading, Switch, Trouble } from "./ui";
import { useLoad } from "./use";

const COUNTED = [
  "studies", "films", "readings", "verdicts", "marks", "reference_standards", "reports", "unfinished",
  "rulers",
] as const satisfies readonly (keyof DeletionAnswer)[];

export function DeletionDialog(props: { what: AskDeletion; close: () => void; done: () => void }) {
  const { what, close, done } = props;
  const shown = useLoad(() => api.previewDeletion(what), [JSON.stringify(what)]);
  const [wrong, setWrong] = useState("");
  const [reason, setReason] = useState("");
  const [forGood, setForGood] = useState(false);
  const remove = async (going: DeletionAnswer) => {
    try {
      await api.deleteAll(what, going.confirm, reason, forGood);
      say("good", t("deletion.done", { count: number(going.studies + going.trashed, 0) }));
      close();
      done();
    } catch (error) {
      setWrong(told(asApiError(error).message));
      shown.reload();
    }
  };
  const going = shown.value;
  return (
    <Dialog title={what.patient_id ? t("deletion.patient", { id: what.patient_id }) : t("deletion.title")} close={close}>
      {shown.error ? (
        <Trouble error={shown.error} again={shown.reload} />
      ) : !going ? (
        <Loading />
      ) : (
        <div class="deletion">
          <p>
            {going.trash_days && !forGood
              ? t("deletion.goes-to-trash", { days: going.trash_days })
              : t("deletion.goes")}
          </p>
          <dl class="facts">
            {COUNTED.map((name) => [
              <dt key={name}>{t(`deletion.${name}`)}</dt>,
              <dd key={`${name}=`}>{number(going[name], 0)}</dd>,
            ])}
            <dt>{t("column.arrived")}</dt>
            <dd>
              {date(going.first_at)} – {date(going.last_at)}
            </dd>
          </dl>
          {going.trashed > 0 && <p>{t("deletion.trashed", { count: number(going.trashed, 0) })}</p>}
          {going.kept_verdicts > 0 && (
            <p class="soft">{t("deletion.kept", { count: number(going.kept_verdicts, 0) })}</p>
          )}
          <p class="soft">{t("deletion.stays")}</p>
          <Field label={t("deletion.reason")}>
            <input maxLength={200} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
          </Field>
          {going.trash_days && <Switch label={t("deletion.for-good")} on={forGood} change={setForGood} />}
          {wrong && <p class="bad" role="alert">{wrong}</p>}
          <p class="actions">
            <button onClick={close}>{t("cancel")}</button>
            <button class="danger" disabled={going.studies + going.trashed === 0} onClick={() => void remove(going)}>
              {t("deletion.do", { count: number(going.studies + going.trashed, 0) })}
            </button>
          </p>
        </div>
      )}
    </Dialog>
  );
}
