/** Small pieces that every page is made of. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, type ApiError } from "../core/api";
import { hundredfold, number, percent, t, named, knows, type Key } from "../core/i18n";
import { told } from "../core/sentences";
import type { Estimate, FilmStatus } from "../core/types";

export function Loading() {
  return (
    <p class="loading" role="status">
      <span class="spinner" aria-hidden="true" /> {t("loading")}
    </p>
  );
}

/** A small picture of a film; an empty place where the film cannot be shown. */
export function Thumbnail({ film, size }: { film: string; size: number }) {
  const [broken, setBroken] = useState("");
  return (
    <img
      src={api.thumbnail(film)}
      alt=""
      width={size}
      height={size}
      loading="lazy"
      style={{ visibility: broken === film ? "hidden" : "visible" }}
      onError={() => setBroken(film)}
    />
  );
}

/** What went wrong, and what to do about it. */
export function Trouble({ error, again }: { error: ApiError; again?: () => void }) {
  const text = error.code === "unreachable" ? t("error.unreachable") : told(error.message);
  return (
    <div class="trouble" role="alert">
      <strong>{knows("problem", error.code) ? named("problem", error.code) : t("error.title")}</strong>
      <p>{text}</p>
      {error.hint && <p class="soft">{t("hint", { hint: told(error.hint) })}</p>}
      {again && <button onClick={again}>{t("again")}</button>}
    </div>
  );
}

const MARKS: Record<FilmStatus, string> = {
  queued: "…",
  reading: "↻",
  read: "✓",
  refused: "⊘",
  error: "!",
};

export function StatusTag({ status }: { status: FilmStatus }) {
  return (
    <span class={`tag status-${status}`}>
      <span aria-hidden="true">{MARKS[status]}</span> {t(`status.${status}`)}
    </span>
  );
}

export function Switch(props: {
  label: ComponentChildren;
  on: boolean;
  disabled?: boolean;
  change: (on: boolean) => void;
  title?: string;
}) {
  return (
    <label class="switch" title={props.title}>
      <input
        type="checkbox"
        role="switch"
        checked={props.on}
        disabled={props.disabled}
        onChange={(event) => props.change(event.currentTarget.checked)}
      />
      <span>{props.label}</span>
    </label>
  );
}

export function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

export function Choice<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  change: (value: T) => void;
  hideLabel?: boolean;
}) {
  const select = (
    <select
      aria-label={props.hideLabel ? props.label : undefined}
      value={props.value}
      onChange={(event) => props.change(event.currentTarget.value as T)}
    >
      {props.options.map(([value, text]) => (
        <option key={value} value={value} selected={value === props.value}>
          {text}
        </option>
      ))}
    </select>
  );
  return props.hideLabel ? select : <Field label={props.label}>{select}</Field>;
}

/** A modal dialog of the browser itself: it keeps the focus and closes by Escape. */
export function Dialog(props: { title: string; close: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={ref} onClose={props.close} aria-labelledby="dialog-title">
      <header>
        <h2 id="dialog-title">{props.title}</h2>
        <button class="quiet" onClick={props.close} aria-label={t("close")}>
          ✕
        </button>
      </header>
      {props.children}
    </dialog>
  );
}

export function Tabs<T extends string>(props: {
  label: string;
  tabs: readonly (readonly [T, string])[];
  chosen: T;
  choose: (tab: T) => void;
}) {
  const step = (event: KeyboardEvent) => {
    const move = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const here = props.tabs.findIndex(([tab]) => tab === props.chosen);
    const next = props.tabs[(here + move + props.tabs.length) % props.tabs.length];
    if (!next) return;
    props.choose(next[0]);
    document.getElementById(`tab-${next[0]}`)?.focus();
  };
  return (
    <div role="tablist" aria-label={props.label} class="tabs" onKeyDown={step}>
      {props.tabs.map(([tab, text]) => (
        <button
          key={tab}
          id={`tab-${tab}`}
          role="tab"
          aria-selected={tab === props.chosen}
          aria-controls={`panel-${tab}`}
          tabIndex={tab === props.chosen ? 0 : -1}
          onClick={() => props.choose(tab)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

/** "0.71 [0.60, 0.80], n = 120", or why it cannot be said; a difference of two shares is in points. */
export function Interval(props: { of: Estimate | null | undefined; share?: boolean; points?: boolean }) {
  const { of, share = false, points = false } = props;
  if (!of || of.value === null || of.value === undefined) {
    return <span class="soft">{of?.note ? `– (${told(of.note)})` : "–"}</span>;
  }
  const show = (value: number | null) => (points ? hundredfold(value, 1) : share ? percent(value) : number(value));
  const range = of.low === null || of.high === null ? "" : ` [${show(of.low)}; ${show(of.high)}]`;
  return (
    <span class="interval" title={of.note ? told(of.note) : undefined}>
      <b>{show(of.value)}</b>
      <span>{range}</span> {points && t("points")} <span class="soft">n = {of.n}</span>
    </span>
  );
}

export const labelName = (label: string): string => named("label", label);

export function Page(props: { title: Key; intro?: Key; children: ComponentChildren; wide?: boolean }) {
  return (
    <main class={props.wide ? "page wide" : "page"} id="main" tabIndex={-1}>
      <h1>{t(props.title)}</h1>
      {props.intro && <p class="soft intro">{t(props.intro)}</p>}
      {props.children}
    </main>
  );
}
