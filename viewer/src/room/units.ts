/** Units: what a length on a film is measured in. */
import { t } from "../core/i18n";
import type { ImageAnswer } from "../core/types";

/** Millimeters of the patient, or of the detector, where all is larger; pixels without a spacing. */
export function lengthUnit(film: ImageAnswer, squared = false): string {
  const power = squared ? "\u00b2" : "";
  if (!film.spacing_mm) return t("unit.px") + power;
  const said = film.ruler ? t("unit.by-ruler") : film.spacing_plane === "detector" ? t("unit.at-detector") : "";
  return t("unit.mm") + power + (said && ` ${said}`);
}
