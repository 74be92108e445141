/** Leaving: asked before what would be lost by it; and nothing of a person stays for the next one. */
import { t } from "./i18n";
import { busy } from "./upload";

/** Names of what is not kept anywhere else: texts of reports, work that the server did not take. */
export const unkept = new Set<string>();
let agreed = false;

const isLossy = (): boolean => busy.value || unkept.size > 0;

addEventListener("beforeunload", (event) => {
  if (isLossy() && !agreed) event.preventDefault();
});

/** Ask, where something would be lost, whether this person leaves all the same. */
export const mayLeave = (): boolean => !isLossy() || confirm(t("leave.sure"));

/** The page is nobody's any more: it begins anew, and its memory with it. */
export function forgetPerson(): void {
  agreed = true;
  location.hash = "";
  location.reload();
}
