/** Words: one catalogue a language, the same keys in each; numbers and dates of that language. */
import { signal } from "@preact/signals";
import saidEn from "../../../src/hilum/core/text/en.json";
import saidRu from "../../../src/hilum/core/text/ru.json";
import en from "../text/en.json";
import ru from "../text/ru.json";

export type Key = keyof typeof en | keyof typeof saidEn;
export type Language = "en" | "ru";

/** What a reading says is written once, for every report and for these pages; beside it the pages' own words. */
const CATALOGUES: Record<Language, Record<string, string>> = { en: { ...saidEn, ...en }, ru: { ...saidRu, ...ru } };
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

const FORMS: readonly Intl.LDMLPluralRule[] = ["one", "few", "many"];

/** The text of a key, with `{name}` filled in, and of `{name|год|года|лет}` the form of that number. */
export function t(key: Key, values?: Values): string {
  const text = (CATALOGUES[language.value][key] ?? key).replace(/\{(\w+)\|([^}]+)\}/g, (_all, name, forms: string) => {
    const form = new Intl.PluralRules(language.value).select(Number(values?.[name]));
    const place = FORMS.indexOf(form); // "other": of English all but 1, of Russian what has a fraction
    return forms.split("|")[place < 0 ? 1 : place] ?? "";
  });
  return values ? text.replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all)) : text;
}

/** The text of a name that the server gave, such as `label` + `covid-19`; the name if unknown. */
export function named(group: string, name: string): string {
  return CATALOGUES[language.value][`${group}.${name}`] ?? name;
}

/** True where the catalogue knows a name that the server gave. */
export const knows = (group: string, name: string): boolean => `${group}.${name}` in CATALOGUES.en;

const ROUNDING = { roundingMode: "halfEven", signDisplay: "negative" } as const;
type Known = number | null | undefined;

/**
 * A number as the server's reports round it (hilum/core/rounded.py): in decimal as it is written, with
 * halves to the even digit, and never "-0". What is shifted by a power of ten is shifted in that
 * decimal: 100 * 0.145 would be 14.499999999999998.
 */
function written(value: Known, digits: Intl.NumberFormatOptions, shift = 0, locale: string = language.value): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const [decimal, exponent] = String(value).split("e");
  const exact = `${decimal}e${Number(exponent ?? 0) + shift}` as Intl.StringNumericLiteral;
  const options = { ...digits, ...ROUNDING };
  return new Intl.NumberFormat(locale, options).format(exact);
}

const places = (digits: number) => ({ minimumFractionDigits: digits, maximumFractionDigits: digits });

export const number = (value: Known, digits = 2): string => written(value, places(digits));

/** At most three significant figures, as measured values of a refusal are given. */
export const figures = (value: Known): string => written(value, { maximumSignificantDigits: 3 });

/** 100 times a share, without a sign. */
export const hundredfold = (share: Known, digits = 0): string => written(share, places(digits), 2);

/** A number as it is shown, to count with: what a reader subtracts on the screen comes out the same. */
export const asShown = (value: number, digits = 0, shift = 0): number =>
  Number(written(value, { ...places(digits), useGrouping: false }, shift, "en"));

/** A share in [0, 1] as a percentage, which no end of a line parts from its sign. */
export function percent(share: Known, digits = 0): string {
  const text = hundredfold(share, digits);
  return text === "–" ? text : `${text}\u00a0%`;
}

/** A probability in percent, without a sign: one digit more close to none and to all, and never none or all. */
export function near(probability: number): string {
  const digits = 0.01 <= probability && probability < 0.99 ? 0 : 1;
  const shown = asShown(probability, digits, 2);
  if (shown === 0) return `<\u00a0${number(0.1, 1)}`;
  return shown === 100 ? `>\u00a0${number(99.9, 1)}` : hundredfold(probability, digits);
}

/** A share of the lungs; what is not zero is never written as zero. */
export function part(share: Known): string {
  if (share && share > 0 && share < 0.01) return "<\u00a01\u00a0%";
  if (share && share > 0.99 && share < 1) return ">\u00a099\u00a0%";
  return percent(share);
}

export function date(iso: string | null | undefined): string {
  if (!iso) return "–";
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return iso;
  return moment.toLocaleString(language.value, { dateStyle: "medium", timeStyle: "short" });
}
