/** Words: one catalogue a language, the same keys in each; numbers and dates of that language. */
import { signal } from "@preact/signals";
import en from "../text/en.json";
import ru from "../text/ru.json";

export type Key = keyof typeof en;
export type Language = "en" | "ru";

const CATALOGUES: Record<Language, Record<string, string>> = { en, ru };
const STORED = "hilum-language";

export const LANGUAGES: readonly [Language, string][] = [
  ["en", "English"],
  ["ru", "Русский"],
];

function initial(): Language {
  const stored = localStorage.getItem(STORED);
  if (stored === "en" || stored === "ru") return stored;
  return navigator.language.toLowerCase().startsWith("ru") ? "ru" : "en";
}

export const language = signal<Language>(initial());
document.documentElement.lang = language.value;

export function speak(chosen: Language): void {
  localStorage.setItem(STORED, chosen);
  document.documentElement.lang = chosen;
  language.value = chosen;
}

type Values = Record<string, string | number>;

/** The text of a key, with `{name}` filled in. */
export function t(key: Key, values?: Values): string {
  const text = CATALOGUES[language.value][key] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all)) : text;
}

/** The text of a name that the server gave, such as `label` + `covid-19`; the name if unknown. */
export function named(group: string, name: string): string {
  return CATALOGUES[language.value][`${group}.${name}`] ?? name;
}

/** True where the catalogue knows a name that the server gave. */
export const knows = (group: string, name: string): boolean => `${group}.${name}` in en;

export function number(value: number | null | undefined, digits = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString(language.value, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** A share in [0, 1] as a percentage, which no end of a line parts from its sign. */
export function percent(share: number | null | undefined, digits = 0): string {
  return share === null || share === undefined || !Number.isFinite(share)
    ? "–"
    : `${number(100 * share, digits)}\u00a0%`;
}

export function date(iso: string | null | undefined): string {
  if (!iso) return "–";
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return iso;
  return moment.toLocaleString(language.value, { dateStyle: "medium", timeStyle: "short" });
}
