/** Over a page whose session has ended: sign in to go on where one was; nothing beneath is lost. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../core/i18n";
import { forgetPerson, mayLeave } from "../core/leave";
import { me, unlock } from "../core/store";
import { LoginForm } from "./login";

export function Lock() {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    const stay = () => dialog?.showModal(); // a second Escape closes what a first one may not
    dialog?.addEventListener("close", stay);
    return () => dialog?.removeEventListener("close", stay);
  }, []);
  useEffect(() => {
    // who signed in in another tab, by the link or at the hospital, need not do it here again
    const look = () => void unlock();
    addEventListener("focus", look);
    return () => removeEventListener("focus", look);
  }, []);
  return (
    <dialog ref={ref} class="lock login" aria-labelledby="lock-title" onCancel={(e) => e.preventDefault()}>
      <main>
        <h1 id="lock-title">{t("lock.title")}</h1>
        <p class="soft">{t("lock.explained", { name: me.value?.name ?? "" })}</p>
        <LoginForm name={me.value?.local ? "" : (me.value?.name ?? "")} elsewhere />
        <p>
          <button class="quiet" onClick={() => mayLeave() && forgetPerson()}>
            {t("lock.other")}
          </button>
        </p>
      </main>
    </dialog>
  );
}
