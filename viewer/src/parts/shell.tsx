/** What stands around every page: the bar above, the notice below, uploads, messages, help. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { forgetPerson, mayLeave } from "../core/leave";
import { LANGUAGES, language, speak, t, type Key, type Language } from "../core/i18n";
import {
  complain, dismiss, may, me, notes, paint, route, theme, whoAmI, type Theme,
} from "../core/store";
import { listen } from "../core/events";
import type { Role } from "../core/types";
import { Help } from "./help";
import { Who } from "./password";
import { Choice, Switch } from "./ui";
import { DropAnywhere, UploadPanel } from "./upload";
import { useKeys } from "./use";

export const helpOpen = signal(false);

const LINKS: readonly [path: string, text: Key, needs: Role][] = [
  ["", "nav.worklist", "reader"],
  ["lists", "nav.lists", "reviewer"],
  ["agreement", "nav.agreement", "reader"],
  ["monitoring", "nav.monitoring", "reader"],
  ["calibration", "nav.calibration", "administrator"],
  ["users", "nav.users", "administrator"],
  ["log", "nav.log", "administrator"],
];

export function Shell({ children }: { children: ComponentChildren }) {
  useKeys({ "?": () => (helpOpen.value = true), g: () => (location.hash = "#/") });
  useEffect(
    () => listen((event) => void (event.name === "bundle" && whoAmI())),
    [],
  );
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={skip}>
        {t("skip")}
      </a>
      <Header />
      {children}
      <Footer />
      <UploadPanel />
      <Notes />
      <DropAnywhere />
      {helpOpen.value && <Help close={() => (helpOpen.value = false)} />}
    </div>
  );
}

/** The address belongs to the pages, so the link moves the focus and not the address. */
function skip(event: Event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Header() {
  const { path: [page = ""], query } = route.value;
  // a film is of the worklist, or of the list that is read through
  const here = page === "film" ? (query.has("list") ? "lists" : "") : page;
  return (
    <header class="bar">
      <a class="brand" href="#/" aria-label="Hilum">
        <img src="./icon.svg" alt="" width="22" height="22" /> Hilum
      </a>
      <nav aria-label={t("nav.title")}>
        {LINKS.filter(([, , needs]) => may(needs)).map(([path, text]) => (
          <a
            key={path}
            href={`#/${path}`}
            aria-current={path === here ? "page" : undefined}
          >
            {t(text)}
          </a>
        ))}
      </nav>
      <div class="bar-end">
        {may("reviewer") && (
          <Switch
            label={t("blind.switch")}
            title={t("blind.shown.now")}
            on={me.value?.blind ?? false}
            change={(on) => void setBlind(on)}
          />
        )}
        <LookAndLanguage />
        <button class="quiet" onClick={() => (helpOpen.value = true)} aria-label={t("help.title")}>
          ?
        </button>
        <Who />
        <button class="quiet" onClick={() => void leave()}>
          {t("sign-out")}
        </button>
      </div>
    </header>
  );
}

export function LookAndLanguage() {
  const looks: [Theme, string][] = [
    ["auto", t("theme.auto")],
    ["light", t("theme.light")],
    ["dark", t("theme.dark")],
  ];
  return (
    <>
      <Choice<Theme> hideLabel label={t("theme")} value={theme.value} options={looks} change={paint} />
      <Choice<Language>
        hideLabel
        label={t("language")}
        value={language.value}
        options={LANGUAGES}
        change={speak}
      />
    </>
  );
}

async function setBlind(on: boolean) {
  try {
    me.value = await api.setBlind(on);
  } catch (error) {
    complain(error);
  }
}

async function leave() {
  if (!mayLeave()) return;
  try {
    await api.logout();
    forgetPerson();
  } catch (error) {
    complain(error);
  }
}

function Footer() {
  const bundle = me.value?.bundle;
  return (
    <footer class="foot">
      <strong>{t("notice")}</strong>
      {me.value?.bundle_error ? (
        <span class="bad" role="alert">
          {t("bundle.damaged", { why: me.value.bundle_error })}
        </span>
      ) : (
        <span title={bundle?.intended_use}>{bundle?.identity}</span>
      )}
      <span>hilum {me.value?.version}</span>
    </footer>
  );
}

function Notes() {
  return (
    <div class="notes" aria-live="polite">
      {notes.value.map((note) => (
        <div key={note.id} class={`note ${note.kind}`}>
          <div>
            {note.text}
            {note.hint && <small>{t("hint", { hint: note.hint })}</small>}
          </div>
          <button class="quiet" aria-label={t("close")} onClick={() => dismiss(note.id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
