/** The server's API: one function a route; every failure is an `ApiError` with a hint. */
import { language } from "./i18n";
import type {
  AgreementAnswer, AnalysisAnswer, AskDeletion, CalibrationAnswer, CandidateAnswer, DeletionAnswer,
  DeskAnswer, FilmAnswer, ImageAnswer, ListAnswer, ListedPlace, ListsAnswer, LogAnswer, LogVerified, MeAnswer,
  MonitoringAnswer, NewList, NewReference, NewTokenAnswer, NewVerdict, NodeAnswer, OnDesk, OverlaysAnswer,
  PeopleAnswer, PersonAnswer, Problem, ReadingAnswer, ReferencesAnswer, ReportAnswer, ReportDraft,
  ReportsAnswer, Role, RoundAnswer, RulerAnswer, RulerFacts, SentAnswer, Source, StudiesAnswer, StudyAnswer,
  TakeBack, TokensAnswer, TrashAnswer, UndoneAnswer, VerdictsAnswer,
} from "./types";

/** Beneath the page, wherever a proxy shows it: at "/", or at "/hilum/". */
export const BASE = new URL("api/v1", document.baseURI).pathname;

/** An address of the server's, as seen from here: it may not know under which path it is shown. */
export const located = (address: string): string =>
  address.startsWith("/api/v1/") ? BASE + address.slice("/api/v1".length) : address;

/** Days are those of who looks at them. */
const zone = (): string | undefined => {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return timeZone && timeZone !== "Etc/Unknown" ? timeZone : undefined;
};

/** What the server refuses, and what fails in the page itself, with codes of its own. */
export type Failure = Omit<Problem, "code" | "hint"> & { code: string; hint?: string | null };

export class ApiError extends Error {
  constructor(readonly problem: Failure) {
    super(problem.detail || problem.title);
  }
  get status(): number {
    return this.problem.status;
  }
  get code(): string {
    return this.problem.code;
  }
  get hint(): string {
    return this.problem.hint ?? "";
  }
}

let csrf: string | null = null;
/** The token that every changing request carries; `GET /me` gives it. */
export const csrfToken = (): string | null => csrf;

/** Called when a request finds that nobody is signed in, or perhaps somebody else in another tab. */
export const session = {
  lost: (_problem: Failure): void => undefined,
  changed: (): void => undefined,
};

/** The problem in the body of an answer, or one made of its status. */
export function problemOf(status: number, body: string): Failure {
  try {
    const problem = JSON.parse(body) as Partial<Failure>;
    if (typeof problem.title === "string" || typeof problem.detail === "string") {
      return { type: "about:blank", title: "", status, detail: "", code: "", ...problem };
    }
  } catch {
    // not JSON: a proxy's page, or nothing; the status must do
  }
  return { type: "about:blank", title: `HTTP ${status}`, status, detail: "", code: "internal" };
}

async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (csrf && init.method && init.method !== "GET") headers.set("X-CSRF-Token", csrf);
  let answer: Response;
  try {
    answer = await fetch(path.startsWith("/") ? located(path) : `${BASE}/${path}`, {
      ...init,
      headers,
      credentials: "same-origin",
    });
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new ApiError({ type: "about:blank", title: "", status: 0, detail, code: "unreachable" });
  }
  if (answer.ok || answer.type === "opaqueredirect") return answer;
  const problem = problemOf(answer.status, await answer.text());
  // a wrong password is no lost session: the sign-in page says it itself
  if (problem.code === "not-signed-in" && path !== "login") session.lost(problem);
  if (problem.code === "csrf") session.changed();
  throw new ApiError(problem);
}

async function get<T>(path: string, query: Record<string, unknown> = {}): Promise<T> {
  return (await (await send(path + queryOf(query))).json()) as T;
}

async function change<T>(method: string, path: string, body?: unknown, leaving = false): Promise<T> {
  const init: RequestInit = { method, keepalive: leaving };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const answer = await send(path, init);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

/** A query string; empty values are left out, lists repeat the name. */
export function queryOf(query: Record<string, unknown>): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") pairs.append(name, String(one));
    }
  }
  const text = pairs.toString();
  return text ? `?${text}` : "";
}

/** The same without empty values. */
const given = (query: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== null && value !== ""));

async function remember(me: Promise<MeAnswer>): Promise<MeAnswer> {
  const known = await me;
  csrf = known.csrf;
  return known;
}

const film = (id: string) => `films/${encodeURIComponent(id)}`;
const list = (id: string) => `lists/${encodeURIComponent(id)}`;

/** What an archive can keep of a reading. */
export const OBJECTS = ["sr", "seg", "gsps", "sc", "pdf"] as const;
export type ObjectKind = (typeof OBJECTS)[number];

/** Why what an archive was sent is taken back. */
export const REASONS = ["quality", "wrong-patient", "worklist"] as const;
export type Reason = TakeBack["reason"];

export interface StudyQuery {
  status?: string;
  q?: string;
  label?: string;
  reviewed?: string;
  from?: string;
  to?: string;
  sort?: string;
  limit?: number;
  cursor?: string | null;
}

export const api = {
  me: () => remember(get<MeAnswer>("me")),
  login: (name: string, password: string, blind: boolean) =>
    remember(change<MeAnswer>("POST", "login", { name, password, ...(blind && { blind }) })),
  /** Ask an address that redirects elsewhere, without going there. */
  probe: (address: string) => send(address, { redirect: "manual" }),
  logout: () => change<void>("POST", "logout"),
  changePassword: (old: string, fresh: string) =>
    remember(change<MeAnswer>("PUT", "me/password", { old, new: fresh })),
  setBlind: (on: boolean) => remember(change<MeAnswer>("PUT", "me/blind", { on })),

  /** In a body: what is searched for may be a patient's id, and addresses are kept in logs. */
  studies: ({ status, ...rest }: StudyQuery) =>
    change<StudiesAnswer>("POST", "studies/search", given({ ...rest, zone: zone(), status: status ? [status] : [] })),
  /** Read through what a filter lets through now, from its first film on. */
  beginRound: ({ status, ...rest }: StudyQuery) =>
    change<RoundAnswer>("PUT", "round", given({ ...rest, zone: zone(), status: status ? [status] : [] })),
  round: () => get<RoundAnswer>("round"),
  /** The round has come to this film. */
  comeTo: (film_id: string) => change<RoundAnswer>("PUT", "round/place", { film_id }),

  study: (id: string) => get<StudyAnswer>(`studies/${encodeURIComponent(id)}`),

  previewDeletion: (what: AskDeletion) => change<DeletionAnswer>("POST", "deletions/preview", what),
  deleteAll: (what: AskDeletion, confirm: string, reason: string, for_good: boolean) =>
    change<DeletionAnswer>("POST", "deletions", { ...what, confirm, reason, for_good }),
  trash: async () => (await get<TrashAnswer>("trash")).items,
  restore: (id: string) => change<void>("POST", `trash/${encodeURIComponent(id)}/restore`),
  deleteForGood: (id: string) => change<void>("DELETE", `trash/${encodeURIComponent(id)}`),

  film: (id: string) => get<FilmAnswer>(film(id)),
  /** For the log: this person looks at this film now. */
  opened: (id: string) => change<void>("POST", `${film(id)}/opened`),
  /** `ahead`: of the film that comes next, which the log tells from one that is looked at. */
  image: (id: string, ahead = false) => get<ImageAnswer>(`${film(id)}/image`, { ahead: ahead || null }),
  /** uint16, row by row; little-endian, as every computer with a browser is. */
  pixels: async (id: string, ahead = false) =>
    new Uint16Array(await (await send(`${film(id)}/pixels${ahead ? "?ahead=true" : ""}`)).arrayBuffer()),
  thumbnail: (id: string) => `${BASE}/${film(id)}/thumbnail.jpg`,
  reading: (id: string, query: { prevalence?: number | null; operating_point?: string | null } = {}) =>
    get<ReadingAnswer>(`${film(id)}/reading`, { ...query, language: language.value }),
  overlays: (id: string) => get<OverlaysAnswer>(`${film(id)}/overlays`),
  /** float32 logits; NaN where the network did not look. */
  heatmap: async (address: string) => new Float32Array(await (await send(address)).arrayBuffer()),
  readAgain: (id: string, force: boolean) => change<void>("POST", `${film(id)}/read`, { force }),

  verdicts: async (id: string) => (await get<VerdictsAnswer>(`${film(id)}/verdicts`)).items,
  desk: (id: string) => get<DeskAnswer>(`${film(id)}/desk`),
  /** `leaving`: the browser sends it though the page is gone. */
  keepDesk: (id: string, work: OnDesk, leaving: boolean) =>
    change<DeskAnswer>("PUT", `${film(id)}/desk`, work, leaving),
  /** All or none, so that a blind verdict of one finding never shows the answer to another. */
  giveVerdicts: (id: string, verdicts: readonly NewVerdict[]) =>
    change<VerdictsAnswer>("POST", `${film(id)}/verdicts/all`, { verdicts }),
  /** What this person said of a film within the last hour is taken back. */
  undoVerdicts: async (id: string, verdict_ids: readonly string[]) =>
    (await change<UndoneAnswer>("POST", `${film(id)}/verdicts/undo`, { verdict_ids })).rejection,
  references: async (id: string) =>
    (await get<ReferencesAnswer>(`${film(id)}/reference`)).items,
  /** How long a line on the film is; null takes it back. */
  setRuler: (id: string, points: RulerFacts["points"], mm: number | null) =>
    change<RulerAnswer>("PUT", `${film(id)}/ruler`, { points, mm }),
  setReference: (id: string, reference: NewReference) =>
    change<ReferencesAnswer>("PUT", `${film(id)}/reference`, reference),

  draft: (id: string, query: { language: string; prevalence?: number | null; operating_point?: string | null }) =>
    get<ReportDraft>(`${film(id)}/reports/draft`, query),
  reports: async (id: string) => (await get<ReportsAnswer>(`${film(id)}/reports`)).items,
  saveReport: (id: string, text: ReportDraft & { sign: boolean; seen: number }) =>
    change<ReportAnswer>("POST", `${film(id)}/reports`, text),
  /** A reading as a DICOM object: the bytes of the file. */
  object: async (id: string, kind: ObjectKind) => (await send(`${film(id)}/objects/${kind}.dcm`)).blob(),
  sent: (id: string) => get<SentAnswer>(`${film(id)}/sent`),
  retract: (id: string, reason: Reason) => change<SentAnswer>("POST", `${film(id)}/retract`, { reason }),
  reportAddress: (id: string, kind: "pdf" | "html") =>
    `${BASE}/reports/${encodeURIComponent(id)}.${kind}`,

  agreement: (label: string, from: string, to: string) =>
    get<AgreementAnswer>("agreement", { label, from, to, zone: zone() }),
  agreementCsv: `${BASE}/agreement.csv`,

  lists: async () => (await get<ListsAnswer>("lists")).items,
  list: (id: string) => get<ListAnswer>(list(id)),
  listed: (id: string, film: string) => get<ListedPlace>(`${list(id)}/films/${encodeURIComponent(film)}`),
  /** Of the films of the studies that a filter lets through. */
  addList: (body: NewList, studies: StudyQuery) =>
    change<ListAnswer>("POST", "lists", { ...body, studies: given({ ...studies, zone: zone() }) }),
  changeList: (id: string, changes: Partial<{ closed: boolean }>) =>
    change<ListAnswer>("PATCH", list(id), changes),
  deleteList: (id: string) => change<void>("DELETE", list(id)),
  analysis: (id: string, finding: string) => get<AnalysisAnswer>(`${list(id)}/analysis`, { finding }),
  mrmcCsv: (id: string, finding: string) => `${BASE}/${list(id)}/mrmc.csv${queryOf({ finding })}`,
  /** A table of the films that a filter lets through: the bytes of the file. */
  exported: async ({ status, ...rest }: StudyQuery, format: "csv" | "parquet", patients: boolean) => {
    const studies = given({ ...rest, sort: null, zone: zone(), status: status ? [status] : [] });
    const init = { method: "POST", body: JSON.stringify({ studies, format, patients }) };
    return (await send("export", { ...init, headers: { "Content-Type": "application/json" } })).blob();
  },

  calibration: () => get<CalibrationAnswer>("calibration"),
  previewCalibration: (site: string, source: Source, allow_seen: boolean) =>
    change<CandidateAnswer>("POST", "calibration/preview", { site, source, allow_seen }),
  applyCalibration: (candidate_id: string) =>
    change<CalibrationAnswer>("POST", "calibration/apply", { candidate_id }),
  undoCalibration: () => change<CalibrationAnswer>("POST", "calibration/undo"),

  monitoring: (days: number, label: string) => get<MonitoringAnswer>("monitoring", { days, label, zone: zone() }),
  node: async () => (await get<NodeAnswer>("node")).node,
  log: (before: number | null) =>
    get<LogAnswer>("log", { limit: 100, before }),
  verifyLog: () => get<LogVerified>("log/verify"),
  users: async () => (await get<PeopleAnswer>("users")).items,
  addUser: (name: string, role: Role, password: string) =>
    change<PersonAnswer>("POST", "users", { name, role, password: password || null }),
  changeUser: (id: string, changes: Partial<{ role: Role; disabled: boolean; password: string }>) =>
    change<PersonAnswer>("PATCH", `users/${encodeURIComponent(id)}`, changes),
  tokens: async () => (await get<TokensAnswer>("tokens")).items,
  addToken: (user_id: string, name: string) =>
    change<NewTokenAnswer>("POST", "tokens", { user_id, name }),
  deleteToken: (id: string) => change<void>("DELETE", `tokens/${encodeURIComponent(id)}`),
};
