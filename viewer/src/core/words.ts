/** What numbers of a reading say, in a few words. */
import { t, type Key } from "./i18n";
import type { Finding } from "./types";

/** The scale of the IPCC (Mastrandrea et al., 2010, table 1), as the server's own reports use it. */
const LIKELIHOOD: readonly [number, Key][] = [
  [0.01, "likelihood.exceptionally-unlikely"],
  [0.1, "likelihood.very-unlikely"],
  [0.33, "likelihood.unlikely"],
  [0.66, "likelihood.as-likely-as-not"],
  [0.9, "likelihood.likely"],
  [0.99, "likelihood.very-likely"],
  [1.01, "likelihood.virtually-certain"],
];

/** Where nothing was calibrated there is no probability to put into words. */
export function likelihood(finding: Pick<Finding, "probability" | "prevalence">): string {
  if (finding.prevalence === null) return t("likelihood.uncalibrated");
  const found = LIKELIHOOD.find(([below]) => finding.probability < below);
  return t(found ? found[1] : "likelihood.virtually-certain");
}

/** The conformal answer: the label, its absence, or that it cannot be said. */
export function answer(set: Finding["prediction_set"], label: string): string {
  if (set === "present") return label;
  if (set === "absent") return t("answer.not", { label });
  return set === null ? t("answer.unknown") : t("answer.cannot-say");
}

/** How an answer is colored: for, against, or neither. */
export function tone(set: Finding["prediction_set"], present: boolean): "for" | "against" | "open" {
  if (set === "present") return "for";
  if (set === "absent") return "against";
  if (set === null) return present ? "for" : "against";
  return "open";
}
