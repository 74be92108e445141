/** One's own password: the name in the bar opens the dialog that changes it. */
import { useState } from "preact/hooks";
import { api } from "../core/api";
import { t } from "../core/i18n";
import { told } from "../core/sentences";
import { asApiError, me, say } from "../core/store";
import { Dialog, Field } from "./ui";

export function Who() {
  const [open, setOpen] = useState(false);
  const role = me.value ? t(`role.${me.value.role}`) : "";
  // who came by the printed link has no password
  if (me.value?.local) return <span class="who" title={role}>{me.value.name}</span>;
  return (
    <>
      <button class="quiet who" title={role} onClick={() => setOpen(true)}>
        {me.value?.name}
      </button>
      {open && <PasswordDialog close={() => setOpen(false)} />}
    </>
  );
}

function PasswordDialog({ close }: { close: () => void }) {
  const [wrong, setWrong] = useState(""); // said here: messages lie beneath a dialog
  const change = async (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    try {
      me.value = await api.changePassword(String(form.get("old")), String(form.get("new")));
      say("good", t("password.changed"));
      close();
    } catch (error) {
      setWrong(told(asApiError(error).message));
    }
  };
  return (
    <Dialog title={t("password.title")} close={close}>
      <form onSubmit={(event) => void change(event)}>
        <p class="soft">{t("password.explained")}</p>
        <Field label={t("password.old")}>
          <input name="old" type="password" required autocomplete="current-password" />
        </Field>
        <Field label={t("password.new")}>
          <input name="new" type="password" required minLength={10} autocomplete="new-password" />
        </Field>
        {wrong && <p class="bad" role="alert">{wrong}</p>}
        <button class="primary">{t("password.change")}</button>
      </form>
    </Dialog>
  );
}
