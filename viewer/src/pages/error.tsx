/** Pages for what is not there, or not for this person. */
import { t } from "../core/i18n";

export function ErrorPage({ kind }: { kind: "not-found" | "not-allowed" }) {
  return (
    <main class="page" id="main" tabIndex={-1}>
      <h1>{t(`page.${kind}`)}</h1>
      <p>{t(`page.${kind}.hint`)}</p>
      <p>
        <a class="button" href="#/">
          {t("nav.worklist")}
        </a>
      </p>
    </main>
  );
}
