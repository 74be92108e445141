/** What numbers of a reading say, in a few words. */
import { t, type Key } from "./i18n";
import type { Answer, Appearance, AppearanceFinding, Finding } from "./types";

const EVEN = [0.33, 0.66] as const;
/** The scale of the IPCC (Mastrandrea et al., 2010, table 1), as the server's own reports use it. */
const LIKELIHOOD: readonly [number, Key][] = [
  [0.01, "likelihood.exceptionally-unlikely"],
  [0.1, "likelihood.very-unlikely"],
  [EVEN[0], "likelihood.unlikely"],
  [EVEN[1], "likelihood.as-likely-as-not"],
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

/** The headline of a finding, in words. */
export function headline(answer: Answer, label: string): string {
  if (answer === "present") return label;
  return answer === "absent" ? t("set.absent", { label }) : t("answer.cannot-say");
}

/** Words that stand by themselves: a capital and a full stop. */
export const sentence = (words: string): string =>
  `${words.charAt(0).toUpperCase()}${words.slice(1)}${words.endsWith(".") ? "" : "."}`;

export const LOOKS: readonly Appearance[] = ["typical", "indeterminate", "atypical", "negative"];

/** What a film looks like, as `appearance_words` of hilum/core/reading.py says it; a test compares them. */
export function appearance({ chances, prediction_set: kept }: AppearanceFinding): string {
  const likeliest = LOOKS.reduce((one, other) => ((chances[other] ?? 0) > (chances[one] ?? 0) ? other : one));
  if (kept === null) return t("appearance.unfitted", { words: t(`appearance.${likeliest}`) });
  if (kept.length === 1) return t(`appearance.${kept[0] ?? likeliest}`);
  if (kept.length === 0 || kept.length === LOOKS.length) return t(kept.length ? "appearance.any" : "appearance.none");
  const seen = kept.filter((each) => each !== "negative").map((each) => t(`appearance-short.${each}`));
  const last = seen.pop() ?? "";
  const words = seen.length ? [seen.join(", "), last].join(t("appearance.or")) : last;
  return t("appearance.several", { words }) + (kept.includes("negative") ? t("appearance.or-clear") : "");
}

/** How an answer is colored: for, against, or neither. */
export const tone = (answer: Answer): "for" | "against" | "open" =>
  answer === "present" ? "for" : answer === "absent" ? "against" : "open";

/** Threshold, set and probability point to different answers, and none of them says why. */
export const differ = (finding: Finding): boolean =>
  finding.answer === "cannot-say" &&
  !["indeterminate", "none"].includes(finding.prediction_set ?? "") &&
  !(finding.prevalence !== null && EVEN[0] <= finding.probability && finding.probability < EVEN[1]);
