/** Sign in: by name and password, by the hospital's own sign-in, or by the terminal's link. */
import { useState } from "preact/hooks";
import { api, ApiError } from "../core/api";
import { t } from "../core/i18n";
import { asApiError, me, signIn } from "../core/store";
import { LookAndLanguage } from "../parts/shell";
import { Field } from "../parts/ui";

export function LoginPage() {
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const offers = signIn.value;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    try {
      me.value = await api.login(String(form.get("name")), String(form.get("password")));
      signIn.value = null;
    } catch (problem) {
      setError(asApiError(problem));
      setBusy(false);
    }
  };

  return (
    <div class="login">
      <main id="main">
        <h1>
          <img src="./icon.svg" alt="" width="40" height="40" /> Hilum
        </h1>
        <p class="soft">{t("login.what")}</p>
        <p class="notice-line">{t("notice")}</p>
        {offers?.password && (
          <form onSubmit={(event) => void submit(event)}>
            <Field label={t("login.name")}>
              <input name="name" autocomplete="username" required autofocus />
            </Field>
            <Field label={t("login.password")}>
              <input name="password" type="password" autocomplete="current-password" required />
            </Field>
            {error && (
              <p class="bad" role="alert">
                {said(error)}
              </p>
            )}
            <button class="primary" disabled={busy}>
              {t("login.do")}
            </button>
          </form>
        )}
        {offers?.oidc && (
          <a class="button" href={offers.oidc}>
            {t("login.oidc")}
          </a>
        )}
        {offers?.link && <p class="soft">{t("login.link")}</p>}
        <p class="look">
          <LookAndLanguage />
        </p>
      </main>
    </div>
  );
}

function said(error: ApiError): string {
  if (error.status === 429) return t("login.too-many");
  if (error.status === 401) return t("login.wrong");
  return error.code === "unreachable" ? t("error.unreachable") : error.message;
}
