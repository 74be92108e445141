/** What every page knows: who is signed in, where we are, how it looks, what was just said. */
import { computed, signal } from "@preact/signals";
import { api, ApiError, session } from "./api";
import { t } from "./i18n";
import { told } from "./sentences";
import type { MeAnswer, Role, SignIn } from "./types";

export const me = signal<MeAnswer | null>(null);
/** What the sign-in page offers; null while somebody is signed in. */
export const signIn = signal<SignIn | null>(null);
/** The session ended under an open page: it stays, covered, until the same person is back. */
export const locked = computed(() => me.value !== null && signIn.value !== null);
/** How often a page was uncovered: what could not be fetched meanwhile is fetched then. */
export const returns = signal(0);
/** Why the server could not say who we are; null if it could. */
export const startError = signal<ApiError | null>(null);

session.lost = (problem) => {
  signIn.value = { password: true, oidc: null, link: false, ...problem.sign_in };
};

session.changed = () => void unlock();

/** Somebody has signed in: goes on with the page that is there, if it is that person's. */
export function enter(found: MeAnswer): void {
  if (me.value && me.value.name !== found.name) {
    location.hash = "";
    location.reload();
    return;
  }
  if (locked.value) returns.value += 1;
  me.value = found;
  signIn.value = null;
}

/** End the session and cover the page. */
export async function lock(): Promise<void> {
  session.lost({ type: "", title: "", status: 401, detail: "", code: "not-signed-in" });
  await api.logout().catch(() => undefined); // else the server ends it by itself
  await unlock(); // says what else the sign-in may offer
}

/** Go on if the browser has a session again. */
export async function unlock(): Promise<void> {
  try {
    enter(await api.me());
  } catch {
    // nobody is signed in, or the server is away: the page stays covered
  }
}

export async function whoAmI(): Promise<void> {
  try {
    enter(await api.me());
    startError.value = null;
  } catch (error) {
    if (error instanceof ApiError && error.code === "not-signed-in") return;
    startError.value = asApiError(error);
  }
}

const RANK: Record<Role, number> = { metrics: -1, reader: 0, reviewer: 1, administrator: 2 };
export const may = (role: Role): boolean => me.value !== null && RANK[me.value.role] >= RANK[role];

// Where we are: "#/film/ID?with=ID2" -> ["film", "ID"], {with: "ID2"}

/** What a person typed may be no address at all. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

export const route = computed(() => {
  const [path = "", query = ""] = hash.value.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").map(decoded), query: new URLSearchParams(query) };
});

export const go = (path: string): void => {
  location.hash = `#/${path}`;
};

// How it looks

export type Theme = "auto" | "light" | "dark";
const THEME = "hilum-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const stored = localStorage.getItem(THEME);

export const theme = signal<Theme>(stored === "light" || stored === "dark" ? stored : "auto");

export function paint(chosen: Theme = theme.value): void {
  theme.value = chosen;
  localStorage.setItem(THEME, chosen);
  const shown = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
  document.documentElement.dataset["theme"] = shown;
}
dark.addEventListener("change", () => paint());

// What was just said

export interface Note {
  id: number;
  kind: "good" | "bad";
  text: string;
  hint: string;
}
export const notes = signal<readonly Note[]>([]);
let noted = 0;

export function say(kind: Note["kind"], text: string, hint = ""): void {
  const note = { id: ++noted, kind, text, hint };
  notes.value = [...notes.value.slice(-3), note];
  if (kind === "good") setTimeout(() => dismiss(note.id), 5000);
}

export const dismiss = (id: number): void => {
  notes.value = notes.value.filter((note) => note.id !== id);
};

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ApiError({ type: "about:blank", title: "", status: 0, detail, code: "unexpected" });
}

/** Say what went wrong; a lost session is said by the sign-in page itself. */
export function complain(error: unknown): void {
  const problem = asApiError(error);
  if (problem.code === "not-signed-in") return;
  const text = problem.code === "unreachable" ? t("error.unreachable") : told(problem.message);
  say("bad", text, told(problem.hint));
}
