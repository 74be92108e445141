/** Sign in: by name and password, by the hospital's own sign-in, or by the terminal's link. */
import { useState } from "preact/hooks";
import { api, ApiError, located } from "../core/api";
import { t } from "../core/i18n";
import { told } from "../core/sentences";
import { asApiError, enter, signIn } from "../core/store";
import { LookAndLanguage } from "../parts/shell";
import { Field } from "../parts/ui";

/** How a sign-in at the hospital ended, where it did not succeed: the server says it in the address. */
const outcome = new URLSearchParams(location.search).get("sign-in");
if (outcome) history.replaceState(null, "", location.pathname + location.hash);

export function LoginPage() {
  return (
    <div class="login">
      <main id="main">
        <h1>
          <img src="./icon.svg" alt="" width="40" height="40" /> Hilum
        </h1>
        <p class="soft">{t("login.what")}</p>
        <p class="notice-line">{t("notice")}</p>
        <LoginForm name="" />
        <p class="look">
          <LookAndLanguage />
        </p>
      </main>
    </div>
  );
}

/**
 * Every way to sign in that is offered.
 *
 * `name`: of who should; empty for anybody. `elsewhere`: the hospital's sign-in gets a tab of its own.
 */
export function LoginForm({ name, elsewhere = false }: { name: string; elsewhere?: boolean }) {
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const offers = signIn.value;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    try {
      enter(await api.login(String(form.get("name")), String(form.get("password")), form.has("blind")));
    } catch (problem) {
      setError(asApiError(problem));
      setBusy(false);
    }
  };

  return (
    <>
      {offers?.password && (
        <form onSubmit={(event) => void submit(event)}>
          <Field label={t("login.name")}>
            <input
              name="name"
              autocomplete="username"
              required
              autofocus={!name}
              defaultValue={name}
              readOnly={Boolean(name)}
            />
          </Field>
          <Field label={t("login.password")}>
            <input
              name="password"
              type="password"
              autocomplete="current-password"
              required
              autofocus={Boolean(name)}
            />
          </Field>
          {!name && (
            <label class="check">
              <input type="checkbox" name="blind" /> {t("login.blind")}
            </label>
          )}
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
      {offers?.oidc && <Hospital address={located(offers.oidc)} elsewhere={elsewhere} />}
      {offers?.link && <p class="soft">{t("login.link")}</p>}
    </>
  );
}

/** The way to the hospital's own sign-in, and how it ended if we are back from there. */
function Hospital({ address, elsewhere }: { address: string; elsewhere: boolean }) {
  const [error, setError] = useState<ApiError | null>(null);
  const follow = async (event: Event) => {
    event.preventDefault();
    try {
      await api.probe(address); // a provider that does not answer is said here, on our own page
      if (elsewhere) window.open(address, "_blank", "noopener");
      else location.assign(address);
    } catch (problem) {
      setError(asApiError(problem));
    }
  };
  const text = error ? told(error.message) : outcome && t(outcome === "not-allowed" ? "login.not-allowed" : "login.failed");
  return (
    <>
      {text && (
        <p class="bad" role="alert">
          {text}
        </p>
      )}
      <a class="button" href={address} onClick={(event) => void follow(event)}>
        {t("login.oidc")}
      </a>
    </>
  );
}

function said(error: ApiError): string {
  if (error.status === 429) return t("login.too-many");
  if (error.status === 401) return t("login.wrong");
  return error.code === "unreachable" ? t("error.unreachable") : told(error.message);
}
