/**
 * Sentences of the server in the language of the page.
 *
 * Codes have their own words in the catalogues; what carries measured values comes as an English
 * sentence. `text/sentences.json` has each with holes, `{used}`, and how it is said in Russian; a
 * sentence that is not in it stays as it came.
 */
import sentences from "../text/sentences.json";
import { language } from "./i18n";

type Pattern = readonly [RegExp, names: readonly string[], russian: string];

/** A measured value alone, with its sign of percent: "3.4%", "< 0.5". */
const MEASURED = /^[<>]?\s?-?\d+\.\d+\s?%?$/;

let patterns: readonly Pattern[] | null = null;

function compiled([english, russian]: [string, string]): Pattern {
  const names = [...english.matchAll(/\{(\w+)\}/g)].map((found) => found[1] ?? "");
  const plain = english.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return [new RegExp(`^${plain.join("(.+?)")}$`), names, russian];
}

/** A sentence of the server as this page says it. */
export function told(sentence: string): string {
  if (language.value === "en") return sentence;
  patterns ??= Object.entries(sentences).map(compiled);
  for (const [pattern, names, russian] of patterns) {
    const found = pattern.exec(sentence);
    if (!found) continue;
    // what fills a hole may be a phrase of the catalogue itself
    const values = new Map(names.map((name, place) => [name, told(found[place + 1] ?? "")]));
    return russian.replace(/\{(\w+)\}/g, (all, name: string) => values.get(name) ?? all);
  }
  return MEASURED.test(sentence) ? sentence.replace(".", ",") : sentence;
}
